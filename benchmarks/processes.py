"""Processes: where they run, what they cost, and their end. What is measured is read from /proc."""

import contextlib
import os
import resource
import socket
import subprocess
from pathlib import Path
from typing import IO, Any

TICKS = os.sysconf("SC_CLK_TCK")
_cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
# The server under test has a core to itself; provider, load generator and database share the others.
SERVER_CORE = set(_cores[:1])
OTHER_CORES = set(_cores[1:]) or SERVER_CORE


def settle_in(cores: set[int]) -> None:
    """Called in a new process: keep to these cores, and open as many files as may be."""
    if cores:
        os.sched_setaffinity(0, cores)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start(
    command: list[str],
    cores: set[int],
    *,
    environ: dict[str, str] | None = None,
    cwd: Path | None = None,
    log: IO[bytes] | int = subprocess.DEVNULL,
    **pipes: Any,
) -> "subprocess.Popen[bytes]":
    pipes.setdefault("stdin", subprocess.DEVNULL)
    pipes.setdefault("stdout", log)
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=None if environ is None else environ,
        stderr=log,
        preexec_fn=lambda: settle_in(cores),
        **pipes,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def cpu_seconds(pid: int, *, with_gone: bool = False) -> float:
    """Return the CPU time of one process; `with_gone`, also of the children it has already buried."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11 : 15 if with_gone else 13]) / TICKS
    return 0.0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status(pid: int, field: str) -> int:
    """Return a number from /proc/PID/status: `VmRSS` in KiB, `Threads`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
