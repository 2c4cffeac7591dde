"""Images and sounds in an event: long runs of base64, which nobody here reads. No I/O."""

import re

# Stands in the place of a run, in JSON and as it is read from there.
_MARK = rb"\ufffcelided\ufffc"
ELIDED = "\ufffcelided\ufffc"
# Base64 of either alphabet, with what JSON may escape in it. The mark is such a run, too: a run that goes on
# behind it in the next piece becomes one with it.
_RUN = re.compile(rb"(?<![A-Za-z0-9+/=_\\-])[A-Za-z0-9+/=_\\-]{4096,}")


def without_blobs(data: bytes, most: int) -> bytes | None:
    """Return what has become longer than `most` without its runs, or `None` where that does not halve it.

    What is let through grows by half before it is looked through again, so that no number of pieces makes
    this dear.
    """
    shorter = _RUN.sub(lambda run: _MARK, data)
    return shorter if len(shorter) <= most // 2 else None
