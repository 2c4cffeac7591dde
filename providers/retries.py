"""When a failed request may be asked again, and how long to wait before."""

import random

from .errors import ProviderError, ProviderOverloaded, ProviderTimeout, RateLimited

MAX_RETRIES = 2
# All attempts and pauses together; after that the person had better be told.
MAX_SECONDS = 30.0
MAX_PAUSE = 10.0
# After this share of the time for the whole answer nothing is asked again.
MOST_OF_TOTAL = 0.8
FIRST_PAUSE = 0.5
# A connection that fails within this time may be there a moment later. One that takes longer has cost the
# person who waits what the connect timeout allows.
MAX_FAILED_CONNECT = 3.0
# So many times a question may be changed to what the provider will take.
MAX_REPAIRS = 4


def may_repair(*, repairs: int, elapsed: float) -> bool:
    """Return whether a question that was refused may be changed and asked once more."""
    return repairs < MAX_REPAIRS and elapsed < MAX_SECONDS


def pause_before_retry(
    fault: ProviderError, *, retries: int, elapsed: float, total: float = float("inf")
) -> float | None:
    """Return the seconds to wait before asking again, or `None` where that would be wrong.

    Only for faults that say of themselves that they pass, and only while nothing
    of an answer has been passed on: that is for the caller to know. `total` is
    the time for the whole answer: a pause must leave some of it, so that the
    person is told of the limit, and not of a timeout.
    """
    if retries >= MAX_RETRIES or not fault.retryable:
        return None
    if not (fault.unsent or isinstance(fault, RateLimited | ProviderOverloaded)):
        return None
    if fault.unsent and (isinstance(fault, ProviderTimeout) or elapsed > MAX_FAILED_CONNECT):
        return None
    pause = fault.retry_after
    if pause is None:
        pause = FIRST_PAUSE * 2**retries * random.uniform(0.75, 1.25)  # noqa: S311
    if pause > MAX_PAUSE or elapsed + pause > min(MAX_SECONDS, total * MOST_OF_TOTAL):
        return None
    return pause
