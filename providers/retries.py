"""When a failed request may be asked again, and how long to wait before."""

import random

from .errors import ProviderError, ProviderOverloaded, RateLimited

MAX_RETRIES = 2
# All attempts and pauses together; after that the person had better be told.
MAX_SECONDS = 30.0
MAX_PAUSE = 10.0
FIRST_PAUSE = 0.5
# So many times a question may be changed to what the provider will take.
MAX_REPAIRS = 4


def may_repair(*, repairs: int, elapsed: float) -> bool:
    """Return whether a question that was refused may be changed and asked once more."""
    return repairs < MAX_REPAIRS and elapsed < MAX_SECONDS


def pause_before_retry(fault: ProviderError, *, retries: int, elapsed: float) -> float | None:
    """Return the seconds to wait before asking again, or `None` where that would be wrong.

    Only for faults that say of themselves that they pass, and only while nothing
    of an answer has been passed on: that is for the caller to know.
    """
    if retries >= MAX_RETRIES or not fault.retryable:
        return None
    if not (fault.unsent or isinstance(fault, RateLimited | ProviderOverloaded)):
        return None
    pause = fault.retry_after
    if pause is None:
        pause = FIRST_PAUSE * 2**retries * random.uniform(0.75, 1.25)  # noqa: S311
    if pause > MAX_PAUSE or elapsed + pause > MAX_SECONDS:
        return None
    return pause
