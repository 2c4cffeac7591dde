"""Looking names up, so that slow ones do not hold up the others.

The C library waits half a minute for a name server that says nothing, and a
thread that waits for it cannot be stopped. So every look-up has a thread of its
own, a name is looked up only once at a time whoever asks, and the names of one
domain, of which its owner can make as many as he likes, get a few threads only.
"""

import asyncio
import socket
from concurrent.futures import Future
from threading import BoundedSemaphore, Lock, Thread
from typing import Any, NamedTuple

MAX_LOOKUPS = 128
MAX_LOOKUPS_OF_A_DOMAIN = 8
_PAUSE = 0.05


class Answer(NamedTuple):
    family: int
    proto: int
    address: str


_lock = Lock()
_running: dict[str, Future[list[Answer]]] = {}
# A thread of the database waits for each of these.
_brief = BoundedSemaphore(2)


async def look_up(host: str, *, seconds: float) -> list[Answer]:
    """Return the addresses of a name; raises `OSError`, and `TimeoutError` where it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            while (found := _look_up(host)) is None:  # noqa: ASYNC110 - it ends on another thread
                await asyncio.sleep(_PAUSE)
            return await asyncio.wrap_future(found)
    except TimeoutError as exc:
        raise TimeoutError(f"no address for {host} in time") from exc


def look_up_briefly(host: str, *, seconds: float) -> list[Answer]:
    """Return the addresses of a name as far as they are found at once; for callers with a thread to lose."""
    if not _brief.acquire(blocking=False):
        return []
    try:
        found = _look_up(host)
        return [] if found is None else found.result(seconds)
    except (OSError, UnicodeError):
        return []
    finally:
        _brief.release()


def _look_up(host: str) -> "Future[list[Answer]] | None":
    """Return the name's look-up, or `None` where there are too many to begin it now."""
    domain = _domain(host)
    with _lock:
        if host in _running:
            return _running[host]
        of_the_domain = sum(_domain(name) == domain for name in _running)
        if len(_running) >= MAX_LOOKUPS or of_the_domain >= MAX_LOOKUPS_OF_A_DOMAIN:
            return None
        found: Future[list[Answer]] = Future()
        # From here on nobody who gives up waiting can cancel it for the others.
        found.set_running_or_notify_cancel()
        _running[host] = found
    # Nothing waits for such a thread when the process ends.
    Thread(target=_run, args=(host, found), name="look-up", daemon=True).start()
    return found


def _run(host: str, found: "Future[list[Answer]]") -> None:
    outcome: Any = None
    try:
        outcome = [
            Answer(family, proto, str(address[0]))
            for family, _, proto, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        ]
    except Exception as exc:
        outcome = exc
    with _lock:
        del _running[host]
    if isinstance(outcome, Exception):
        found.set_exception(outcome)
    else:
        found.set_result(outcome)


def _domain(host: str) -> str:
    return ".".join(host.lower().rstrip(".").split(".")[-2:])
