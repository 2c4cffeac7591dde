"""UUIDv7 identifiers (RFC 9562, section 5.7): their order is the order in which they were made."""

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0

# 48 bits of milliseconds, then 12 bits that count within one millisecond.
_COUNTER_BITS = 12


def uuid7(after: uuid.UUID | None = None) -> uuid.UUID:
    """Return a new id, greater than every earlier one of this process and than `after`.

    `after` keeps a reply behind what it replies to, even where two machines'
    clocks disagree.
    """
    global _last
    with _lock:
        ticks = (time.time_ns() // 1_000_000) << _COUNTER_BITS
        if after is not None:
            ticks = max(ticks, _ticks(after) + 1)
        _last = ticks = max(ticks, _last + 1)
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    milliseconds, count = ticks >> _COUNTER_BITS, ticks & ((1 << _COUNTER_BITS) - 1)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | random)


def _ticks(value: uuid.UUID) -> int:
    return (value.int >> 80) << _COUNTER_BITS | (value.int >> 64) & ((1 << _COUNTER_BITS) - 1)
