"""A JSON array to its elements, each as soon as it is closed. No I/O."""

import re

from .text import MAX_CONTAINERS

# No answer came in so many pieces; every one of them costs, however small it is.
MAX_ELEMENTS = 10_000
_MARK = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')


class TooMany(ValueError):
    """The array is made to cost much rather than to say something."""


class Elements:
    """Feed it an array in pieces cut anywhere; each call gives the objects in it that became whole."""

    def __init__(self) -> None:
        self.closed = False
        self._depth = 0
        self._containers = 0
        self._elements = 0
        self._in_string = False
        # What was read since the element began; None between two of them.
        self._element: list[bytes] | None = None
        # After a backslash, the next byte means itself, also where it comes in the next piece.
        self._escaped = False

    def feed(self, chunk: bytes) -> list[bytes]:
        found: list[bytes] = []
        at = begun = 0
        while not self.closed and at < len(chunk):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            match = (_IN_STRING if self._in_string else _MARK).search(chunk, at)
            if match is None:
                break
            at = match.end()
            mark = match[0]
            if mark == b"\\":
                self._escaped = True
            elif mark == b'"':
                self._in_string = not self._in_string
            elif mark in b"{[":
                self._open()
                if self._depth == 2:
                    self._elements += 1
                    self._element, begun = [], match.start()
            else:
                self._depth -= 1
                if self._depth == 1 and self._element is not None:
                    found.append(b"".join((*self._element, chunk[begun:at])))
                    self._element = None
                self.closed = self._depth <= 0
        if self._element is not None:
            self._element.append(chunk[begun:])
        return found

    def _open(self) -> None:
        self._depth += 1
        self._containers += 1
        if self._containers > MAX_CONTAINERS or self._elements > MAX_ELEMENTS:
            raise TooMany("too many objects and lists")
