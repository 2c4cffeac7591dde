"""Cuts the bytes of a connection at the borders of its requests. No input or output of its own.

httptools parses all it is given. To answer one request before the next is parsed, and to bound what a
client can make the server keep, the parser is given one piece at a time: a whole head, or some of a body.
"""

import re

HEAD_BYTES = 64 << 10
HEADERS = 200
# How much of a chunked body may be something else, at a stretch: sizes, extensions, trailers.
OVERHEAD_BYTES = 16 << 10
# How much of a body is thrown away whose request has been answered already.
UNWANTED_BYTES = 256 << 10

# Some clients send an empty line behind a body. More of them before a request are refused.
EMPTY_LINES = 4
# The parser gets no more of a chunked body at once.
PIECE_BYTES = 4 << 10

EMPTY_LINE = b"\r\n"
END_OF_HEAD = b"\r\n\r\n"
# No request begins like this, or has such a line: there is no end of a head to wait for.
_NO_HEAD = re.compile(rb"(?<!\r)\n|\A(?:\r\n)*[^A-Z\r]")
# Nothing is upgraded here. The parser, however, takes a body for the other protocol's once it has seen this.
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)
_UNTIL_NEXT_HEAD = -1


class Refused(Exception):
    """A client sends more than it may; `status` is the one to refuse it with, or 0 to hang up."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestFraming:
    """What has come of a connection's requests and has not been parsed yet."""

    __slots__ = ("_body_left", "_empty_lines", "_held", "_overhead", "_searched", "_unwanted", "in_body")

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0  # so much of it, without having found a head's end
        self.in_body = False
        self._body_left = 0
        self._empty_lines = 0
        self._overhead = 0
        self._unwanted = 0

    @property
    def waiting_bytes(self) -> int:
        return len(self._held)

    def add(self, data: bytes) -> None:
        self._held += data

    def drop(self) -> None:
        self._held.clear()
        self._searched = 0

    def next_piece(self) -> bytes:
        """Return what the parser can be given now, or nothing where the rest of a head has yet to come."""
        return self._next_of_body() if self.in_body else self._next_head()

    def _next_head(self) -> bytes:
        self._skip_empty_lines()
        held = self._held
        end = held.find(END_OF_HEAD, max(0, self._searched - len(END_OF_HEAD) + 1))
        size = end + len(END_OF_HEAD) if end >= 0 else len(held)
        if size > HEAD_BYTES:
            raise Refused(431)
        if end < 0 and not _NO_HEAD.search(held, max(0, self._searched - 1)):
            self._searched = len(held)
            return b""
        head = self._take(size)
        if b"pgrade" in head or b"PGRADE" in head:
            head = _UPGRADE.sub(b"", head)
        return head

    def _skip_empty_lines(self) -> None:
        while self._held.startswith(EMPTY_LINE):
            self._empty_lines += 1
            if self._empty_lines > EMPTY_LINES:
                raise Refused(400)
            self._take(len(EMPTY_LINE))

    def _next_of_body(self) -> bytes:
        held = self._held
        if self._body_left == _UNTIL_NEXT_HEAD:
            # A chunked body ends with an empty line, too; the next request begins behind it.
            end = held.find(END_OF_HEAD, 0, PIECE_BYTES)
            return self._take(end + len(END_OF_HEAD) if end >= 0 else self._size_before_end())
        piece = self._take(min(self._body_left, len(held)))
        self._body_left -= len(piece)
        return piece

    def _size_before_end(self) -> int:
        """Return how much can be taken without cutting an empty line that may end the body."""
        size = min(len(self._held), PIECE_BYTES)
        for length in range(len(END_OF_HEAD) - 1, 0, -1):
            if self._held.endswith(END_OF_HEAD[:length], 0, size):
                return size - length
        return size

    def _take(self, size: int) -> bytes:
        self._searched = 0
        piece = bytes(self._held[:size])
        del self._held[:size]
        return piece

    # --- what the parser has found

    def head_ended(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Take note of how long the body is, which begins now; it may be empty."""
        self.in_body = True
        self._empty_lines = 0
        self._overhead = self._unwanted = 0
        told = dict(headers)
        chunked = b"transfer-encoding" in told
        self._body_left = _UNTIL_NEXT_HEAD if chunked else int(told.get(b"content-length") or 0)

    def message_ended(self) -> None:
        self.in_body = False

    def count_overhead(self, size: int) -> None:
        """Count bytes of which nothing was body."""
        self._overhead += size
        if self._overhead > OVERHEAD_BYTES:
            raise Refused(400)

    def count_body(self, size: int, *, wanted: bool) -> None:
        self._overhead = 0
        if not wanted:
            self._unwanted += size
            if self._unwanted > UNWANTED_BYTES:
                raise Refused(0)
