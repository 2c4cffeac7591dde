"""Database work and threads, both bounded, however many answers are streaming.

A plain async ORM call keeps one thread and one connection for as long as its
request lives. Everything that streams therefore goes through `in_db`: one
short synchronous unit of work on one of a few threads, which gives its
connection back when the unit ends. Ordinary pages share a few lanes.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import OperationalError, close_old_connections
from django.utils import translation

P = ParamSpec("P")
R = TypeVar("R")

UNIT_THREADS = 8
# How long a unit may wait for a thread.
QUEUE_SECONDS = 11
PAGE_THREADS = 4

_units = ThreadPoolExecutor(UNIT_THREADS, thread_name_prefix="unit")


async def in_db(work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` on a database thread, and return its connection afterwards.

    A cancelled caller stops waiting at once, but `work` still runs to its end:
    whatever it writes is written.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    # The context does not bring the language along: Django ties it to the thread as well.
    language = translation.get_language()

    asked_at = time.monotonic()

    def unit() -> R:
        if time.monotonic() - asked_at > QUEUE_SECONDS:
            # The threads wait for a database that is away, and the request has been answered without this.
            raise OperationalError("no thread was free in time")
        try:
            with translation.override(language):
                return work(*args, **kwargs)
        finally:
            close_old_connections()

    return await loop.run_in_executor(_units, context.run, unit)


class Lane(ThreadPoolExecutor):
    """One thread, on which all synchronous work of a page request runs in order."""

    def __init__(self, name: str) -> None:
        super().__init__(1, thread_name_prefix=name)
        self.load = 0

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self.load += 1
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any]) -> None:
        self.load -= 1


_lanes = [Lane(f"page-{n}") for n in range(PAGE_THREADS)]


def quietest_lane() -> Lane:
    """Return the lane with the least work waiting; the order rotates among equals."""
    lane = min(_lanes, key=lambda lane: lane.load)
    _lanes.remove(lane)
    _lanes.append(lane)
    return lane
