"""What a server process holds, told by itself: tasks, answers, readers, connections, threads, files.

    server = make_server(**inside.watched(tmp_path))
    before = inside.figures(server, tmp_path)

A little code comes along into each of its processes by Python's `sitecustomize`, and answers SIGUSR1. It also
turns the protocol's patience down, so that no test has to wait for minutes.
"""

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from tests.server import PROJECT, Server

_CODE = """
import os, signal
from pathlib import Path

NAMES = {"RunningAnswer", "Reader", "BoundedProtocol", "RequestResponseCycle"}


def tell(number, frame):
    import asyncio, collections, gc, json

    gc.collect()
    counts = collections.Counter()
    for found in gc.get_objects():
        kind = type(found)
        if kind is asyncio.Task:
            counts["tasks"] += not found.done()
        elif kind.__name__ in NAMES:
            counts[kind.__name__] += 1
    counts["passed by"] = gc.get_freeze_count()  # by the collector
    counts["collected"] = len(gc.get_objects())
    counts["threads"] = len(os.listdir("/proc/self/task"))
    counts["files"] = len(os.listdir("/proc/self/fd"))
    draft = Path(os.environ["WATCHED"], f"{os.getpid()}.draft")
    draft.write_text(json.dumps(counts))
    draft.rename(draft.with_suffix(".json"))


signal.signal(signal.SIGUSR1, tell)

from chatproject import protocol

protocol.STALLED_SECONDS, protocol.LOOK_SECONDS = 2, 0.5
"""


def watched(folder: Path) -> dict[str, str]:
    """Return what to start a server with so that it can be asked for its figures."""
    (folder / "sitecustomize.py").write_text(_CODE)
    return {"PYTHONPATH": f"{folder}:{PROJECT}", "WATCHED": str(folder)}


def figures(server: Server, folder: Path) -> Counter[str]:
    """Return what all processes of a server that answer requests hold together."""
    return sum(each(server, folder), Counter())


def wait_for_all(server: Server, folder: Path, count: int) -> None:
    """Wait until so many processes have started: a server is ready as soon as one of them is."""
    give_up = time.monotonic() + 30
    while len(held := each(server, folder)) < count or not all(one["passed by"] for one in held):
        assert time.monotonic() < give_up, held
        time.sleep(0.1)


def each(server: Server, folder: Path) -> list[Counter[str]]:
    found = []
    for pid in server.workers:
        told = folder / f"{pid}.json"
        told.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        give_up = time.monotonic() + 10
        while not told.exists():
            if time.monotonic() > give_up:
                raise AssertionError(f"process {pid} does not tell what it holds")
            time.sleep(0.02)
        found.append(Counter(json.loads(told.read_text())))
    return found
