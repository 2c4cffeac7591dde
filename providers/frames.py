"""What stands about the text in events that are text and nothing else. No I/O.

Nearly all events of one answer are the same bytes but for their text. Once one of them was read the
thorough way, it is known what stands before and behind the text, and the next ones need not be parsed:
their texts are taken out as they are written, and unescaped together.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable

import orjson

from .text import MAX_CONTAINERS, is_costly

# Put between texts that are unescaped together. Behind a backslash, half an escape or half a character
# it is an error, so that what is wrong with one text is not made good by the next.
_BETWEEN = b"\x7f"
# Put in the place of a text, to see whether it is read there.
_MARK = "the text\u2060of this event"
# Of what is longer, the text is not what costs.
_MOST_BYTES = 4096
_MOST_PLACES = 4
# Some hide how long a text is. Blanks before the last brace mean nothing to anybody,
_BLANKS = re.compile(rb"(.*\S)( +)(\}\n\n)")
# and neither does this member.
_OBFUSCATION = re.compile(rb'(.*"obfuscation": ?")([A-Za-z0-9]*)(".*\n\n)', re.S)
_ALPHANUMERIC = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Framed(ABC):
    """A reader of answers of which most events are text and nothing else."""

    # Whether a text would be passed on as it is, and change nothing: none is held back, and no tag can begin.
    text_only = False
    # A character that may begin a tag: a text with it is the reader's to look at. "" where there is none.
    mark = ""

    @abstractmethod
    def only_text(self, data: bytes) -> str | None:
        """Return the text of an event that is a piece of text and nothing else, whatever the text is."""


class Frame:
    """What stands before and behind the text, up to the empty line, but for padding of any length."""

    __slots__ = ("_before", "_closing", "_end", "_fixed", "_mark", "_padding")

    def __init__(self, before: bytes, after: bytes, mark: str = "") -> None:
        self._mark = mark
        self._before = before
        self._fixed, self._padding, self._end = _parted(after)
        # Where the text's closing quote is behind, as a place from the end.
        self._closing = 1 - len(self._fixed) or None

    def take(self, events: bytes) -> tuple[str, int] | None:
        """Return the text of whole events, and how many they are.

        `None` where not all are in the frame, or where the reader has to look at a text.
        """
        start, stop = len(self._before), len(events) - len(self._end)
        if not events.startswith(self._before) or not events.endswith(self._end):
            return None
        if stop - start >= start:
            return self._take_some(events, start, stop)
        # There is no room for another. Where the two overlap there are not even two quotes.
        if self._padding:
            written = events[start - 1 : stop].rstrip(self._padding)
            if not written.endswith(self._fixed, 1):
                return None
            written = written[: self._closing]
        else:
            written = events[start - 1 : stop + 1]
        try:
            text: str = orjson.loads(written)
        except ValueError:
            return None
        return None if "\0" in text or (self._mark and self._mark in text) else (text, 1)

    def _take_some(self, events: bytes, start: int, stop: int) -> tuple[str, int] | None:
        if len(events) > MAX_CONTAINERS and is_costly(events):
            return None
        # Not by what stands between the texts: to look for what is long costs more than to compare it.
        end = 2 - len(self._end)
        texts = [event[start:end] for event in events[:-2].split(b"\n\n")]
        if (self._end + self._before).join(texts) != events[start:stop]:
            return None
        if self._padding:
            padded = [text.rstrip(self._padding) for text in texts]
            texts = [text[: -len(self._fixed)] for text in padded]
            if [text + self._fixed for text in texts] != padded:
                return None
        try:
            # It takes no line end and no quote, so that none but whole texts come through.
            text: str = orjson.loads(b'"%b"' % _BETWEEN.join(texts))
        except ValueError:
            return None
        if "\0" in text or text.count("\x7f") != len(texts) - 1 or (self._mark and self._mark in text):
            return None
        return text.replace("\x7f", ""), len(texts)


def learn(data: bytes, name: str, only_text: Callable[[bytes], str | None], mark: str = "") -> Frame | None:
    """Return the frame of an event that is text only, if it can be told for sure where the text is.

    A text with `mark` will not be in it.
    """
    # Readers are given an error in another form.
    if name == "error" or len(data) + len(name) > _MOST_BYTES or b"\n" in data:
        return None
    text = only_text(data)
    # What is no word may be written everywhere.
    if text is None or not any(map(str.isalnum, text)):
        return None
    start = b"data: " if name == "message" else b"event: %b\ndata: " % name.encode()
    for written in {orjson.dumps(text), json.dumps(text).encode()}:
        at = -1
        for _ in range(_MOST_PLACES):
            at = data.find(written, at + 1)
            if at < 0:
                break
            before, after = data[: at + 1], data[at + len(written) - 1 :]
            if only_text(before + _MARK.encode() + after) == _MARK:
                return Frame(start + before, after + b"\n\n", mark)
    return None


def _parted(after: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what stands before the padding, what the padding consists of, and what stands behind it."""
    if found := _OBFUSCATION.fullmatch(after):
        return found[1], _ALPHANUMERIC, found[3]
    if found := _BLANKS.fullmatch(after):
        return found[1], b" ", found[3]
    return b"", b"", after
