"""The service, started as always, with a meter on what it does to lose nothing.

    KEEPING_METER=/path/of/a/file python -m benchmarks.keeping

Checkpoints, heartbeats, leases and the search for abandoned answers are timed
with the CPU clock of the thread they run on; the sum, in seconds, stands in the
file as one double. Only the row "keeping" of the benchmark is measured this way.
"""

import functools
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from chatproject import launch


class Meter:
    """Sums CPU time over threads, into a file that another process reads."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._shown = mmap.mmap(file.fileno(), 8)
        self._lock = threading.Lock()
        self._inside = threading.local()
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        with self._lock:
            self._sum += seconds
            self._shown[:] = struct.pack("d", self._sum)

    def function(self, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def metered(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "any", False):  # what a metered one calls is counted already
                return work(*args, **kwargs)
            self._inside.any = True
            since = time.thread_time()
            try:
                return work(*args, **kwargs)
            finally:
                self._inside.any = False
                self.add(time.thread_time() - since)

        return metered

    def coroutine(self, work: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        @functools.wraps(work)
        async def metered(*args: Any, **kwargs: Any) -> Any:
            return await Stretches(work(*args, **kwargs), self)

        return metered


class Stretches:
    """Awaits a coroutine and times what it does between its waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], meter: Meter) -> None:
        self._coroutine = coroutine
        self._meter = meter

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        step = functools.partial(next, steps)
        while True:
            since = time.thread_time()
            try:
                waited_for = step()
            except StopIteration as ended:
                return ended.value
            finally:
                self._meter.add(time.thread_time() - since)
            try:
                value = yield waited_for
                step = functools.partial(steps.send, value)
            except BaseException as exc:
                step = functools.partial(steps.throw, exc)


def main() -> None:
    data_dir = launch.prepare_environment()
    launch.prepare_database(data_dir)

    from chat import checkpoints, leases

    meter = Meter(Path(os.environ["KEEPING_METER"]))
    checkpoints.keep_lease = meter.coroutine(checkpoints.keep_lease)
    checkpoints.keep_texts = meter.coroutine(checkpoints.keep_texts)
    checkpoints._heard = meter.function(checkpoints._heard)
    checkpoints._store = meter.function(checkpoints._store)
    leases.keep = meter.function(leases.keep)
    leases.renew = meter.function(leases.renew)
    leases.interrupt_abandoned = meter.function(leases.interrupt_abandoned)
    launch.serve()


if __name__ == "__main__":
    main()
