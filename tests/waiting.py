"""Waiting for a condition, never for a time."""

import time
from collections.abc import Callable

# Long enough for a crowded machine: only a test that fails waits this long.
PATIENCE = 30.0


def until(reached: Callable[[], object], *, within: float = PATIENCE, every: float = 0.02) -> None:
    """Wait until `reached` returns something true, asking again and again."""
    give_up = time.monotonic() + within
    while not reached():
        assert time.monotonic() < give_up, f"not reached within {within} s"
        time.sleep(every)
