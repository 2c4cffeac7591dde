"""Bytes to server-sent events, as the WHATWG standard reads them. No I/O.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import re
from typing import NamedTuple

from .blobs import without_blobs
from .frames import Frame


class Event(NamedTuple):
    data: bytes
    name: str = "message"
    id: str = ""
    # Whether runs of base64 were left out of the data.
    elided: bool = False


class TooLong(ValueError):
    """A line or an event is longer than the decoder was told to accept, or there are too many lines."""


# Every line costs, however short it is. An answer of hundreds of thousands of tokens fits, and
# an event that is a document printed for people to read.
MAX_LINES = 1_000_000
MAX_EVENT_LINES = 10_000
# So much of an event that has only begun is kept as it came, to be looked at as a whole.
_MOST_HELD = 4096
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Decoder:
    """Feed it the body in pieces cut anywhere; each call gives the events that became whole.

    Two things the standard drops are kept, because providers rely on them: an
    event still open when the body ends (`end`), and lines that are no field at
    all (`stray`), such as an error object printed into the stream.
    """

    def __init__(self, *, max_bytes: int = 4 << 20) -> None:
        self._max = max_bytes
        self._most_held = min(_MOST_HELD, max_bytes)
        self._lines_left = MAX_LINES
        # What follows the last empty line, where nothing of it has been looked at.
        self._held = b""
        # What follows the last line end.
        self._rest: list[bytes] = []
        self._rest_size = 0
        # After a CR, a leading LF belongs to the same line end.
        self._after_cr = False
        self._head: bytes | None = b""
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""
        self._id = ""
        self._stray: list[bytes] = []
        self._stray_size = 0
        self._elided = False
        self.retry: int | None = None

    @property
    def stray(self) -> bytes:
        return b"\n".join(self._stray)

    def feed(self, chunk: bytes) -> list[Event]:
        if self._head is not None:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if not chunk:
            return []
        if self._held:
            chunk, self._held = self._held + chunk, b""
        if b"\r" in chunk:
            return self._lines(chunk)
        rest = b""
        if chunk[-2:] != b"\n\n":
            chunk, rest = _parted(chunk)
        events: list[Event] = []
        if chunk:
            # What nearly every chunk of nearly every provider is: whole events, one data line each.
            whole = self._whole_events(chunk) if self._is_between() else None
            events = self._lines(chunk) if whole is None else whole
        if rest and len(rest) <= self._most_held and self._is_between():
            self._held = rest
        elif rest:
            events += self._lines(rest)
        return events

    def take(self, chunk: bytes, frame: Frame) -> str | None:
        """Take the events that become whole, and return their text, where all of them are in the frame.

        Where one is not, nothing is taken.
        """
        if self._rest_size or self._size or self._name or self._after_cr or self._head is not None:
            return None
        whole, rest = chunk, b""
        if self._held or chunk[-2:] != b"\n\n":
            whole, rest = _parted(self._held + chunk)
            if len(rest) > self._most_held or b"\r" in rest:
                return None
        if len(whole) > self._max:
            return None
        found = frame.take(whole)
        # Two lines each, as the other way counts them.
        if found is None or 2 * found[1] > self._lines_left:
            return None
        self._lines_left -= 2 * found[1]
        self._held = rest
        return found[0]

    def end(self) -> Event | None:
        """Take the end of the body; return the event that was left open, if any.

        A conforming reader drops it. It may be cut: keep it only if its data is complete.
        """
        if self._head:
            self._rest, self._rest_size, self._head = [self._head], len(self._head), None
        if self._held:
            held, self._held = self._held, b""
            self._lines(held)
        if self._rest_size:
            rest = b"".join(self._rest)
            self._rest, self._rest_size = [], 0
            self._field(rest)
        event = self._take()
        return event if event.data else None

    def _without_bom(self, chunk: bytes) -> bytes:
        head = (self._head or b"") + chunk
        if len(head) < 3 and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _is_between(self) -> bool:
        """Whether nothing of an event was read that did not become whole yet."""
        return not (self._rest_size or self._size or self._name)

    def _whole_events(self, chunk: bytes) -> list[Event] | None:
        if len(chunk) > self._max:
            return None
        events = []
        last_id = self._id
        for block in chunk[:-2].split(b"\n\n"):
            if block[:6] == b"data: ":
                name, line = "message", block
            elif block[:7] == b"event: ":
                field, _, line = block.partition(b"\n")
                name = field[7:].decode("utf-8", "replace") or "message"
            else:
                return None
            if line[:6] != b"data: " or b"\n" in line:
                return None
            events.append(Event(line[6:], name, last_id))
        self._count(2 * len(events))
        return events

    def _lines(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        lines = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        self._after_cr = chunk[-1] == 13
        tail = lines.pop()
        self._count(len(lines))
        if lines and self._rest_size:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self._rest_size = [], 0
        for line in lines:
            if len(line) > self._max:
                self._field(self._without_blobs(line))
            elif line:
                self._field(line)
            elif self._size:
                events.append(self._take())
            else:
                self._name = ""
        if tail:
            self._rest.append(tail)
            self._rest_size += len(tail)
            if self._rest_size > self._max:
                self._rest = [self._without_blobs(b"".join(self._rest))]
                self._rest_size = len(self._rest[0])
        return events

    def _without_blobs(self, line: bytes) -> bytes:
        shorter = without_blobs(line, self._max)
        if shorter is None:
            raise TooLong(f"one line of more than {self._max} bytes")
        self._elided = True
        return shorter

    def _count(self, lines: int) -> None:
        self._lines_left -= lines
        if self._lines_left < 0:
            raise TooLong(f"more than {MAX_LINES} lines")

    def _field(self, line: bytes) -> None:
        if line[:5] == b"data:":
            value = line[6:] if line[5:6] == b" " else line[5:]
        elif line == b"data":
            value = b""
        else:
            self._other_field(line)
            return
        self._data.append(value)
        # The joining line feed counts, so that empty data lines add up too.
        self._size += len(value) + 1
        if self._size > self._max or len(self._data) > MAX_EVENT_LINES:
            raise TooLong(f"one event of more than {self._max} bytes or {MAX_EVENT_LINES} lines")

    def _other_field(self, line: bytes) -> None:
        if len(line) > self._max:
            raise TooLong(f"one line of more than {self._max} bytes")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not field:
            return
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif field == b"retry":
            if value.isdigit():
                self.retry = int(value[:18])
        elif self._stray_size < 65_536:
            self._stray.append(line[:65_536])
            self._stray_size += len(line)

    def _take(self) -> Event:
        event = Event(b"\n".join(self._data), self._name or "message", self._id, self._elided)
        self._data, self._size, self._name, self._elided = [], 0, "", False
        return event


def _parted(chunk: bytes) -> tuple[bytes, bytes]:
    """Return what ends with an empty line, and what follows it."""
    end = chunk.rfind(b"\n\n")
    return (chunk[: end + 2], chunk[end + 2 :]) if end >= 0 else (b"", chunk)
