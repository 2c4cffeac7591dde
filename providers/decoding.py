"""Bodies to events, lines or documents, whatever a server calls what it sends. No I/O."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from .arrays import Elements, TooMany
from .blobs import without_blobs
from .errors import AnswerTooLarge, BrokenStream, WrongAddress
from .frames import Frame
from .sse import MAX_LINES, Decoder, Event, TooLong
from .text import load_json, load_lines

# A document with images may be longer than one without by this factor.
_MOST_ELIDED = 16
_BLANK = b"\xef\xbb\xbf \t\r\n"


class Body(Protocol):
    """Takes a body as it comes; each call gives the events that became whole."""

    def feed(self, chunk: bytes) -> Sequence[Event]: ...

    def take(self, chunk: bytes, frame: Frame) -> str | None:
        """Return the text of the events that became whole, if all of them are in the frame.

        Where one is not, nothing is taken: feed it.
        """
        ...

    def end(self) -> Iterator[Event]:
        """Yield what was left open; raises `BrokenStream` where the body was cut."""
        ...


class EventBody:
    """A body that is a stream of events.

    A JSON document in place of a stream is one event, whatever its content type
    was, and so is each object in an array. An event left open at the end is
    given if its JSON is whole, and so is a JSON object that was printed into the
    stream without being an event.
    """

    def __init__(
        self, *, max_event: int = 4 << 20, max_document: int = 4 << 20, max_body: int = 64 << 20
    ) -> None:
        self._max_document = max_document
        self._max_body = max_body
        self._size = 0
        # What came before it is known what the body is.
        self._beginning: bytes | None = b""
        self._decoder = Decoder(max_bytes=max_event)
        self._array: Elements | None = None
        self._document: _Document | None = None

    def feed(self, chunk: bytes) -> Sequence[Event]:
        if self._beginning is not None:
            chunk = self._beginning + chunk
            if not _tells(chunk):
                self._beginning = chunk
                return ()
            self._begin(chunk)
        if self._document is not None:
            self._document.feed(chunk)
            return ()
        if self._array is not None:
            return self._elements(self._array, chunk)
        self._size += len(chunk)
        if self._size > self._max_body:
            raise AnswerTooLarge(f"more than {self._max_body} bytes")
        try:
            return self._decoder.feed(chunk)
        except TooLong as exc:
            raise AnswerTooLarge(str(exc)) from exc

    def take(self, chunk: bytes, frame: Frame) -> str | None:
        if self._beginning is not None or self._document is not None or self._array is not None:
            return None
        if (size := self._size + len(chunk)) > self._max_body:
            return None
        if (text := self._decoder.take(chunk, frame)) is not None:
            self._size = size
        return text

    def end(self) -> Iterator[Event]:
        if self._document is not None:
            yield self._document.event()
        elif self._array is None:
            yield from self._left()
        elif not self._array.closed:
            raise BrokenStream("the document was cut off")

    def _begin(self, first: bytes) -> None:
        self._beginning = None
        mark = first.lstrip(_BLANK)[:1]
        if mark == b"[":
            self._array = Elements()
        elif mark in (b"{", b"<"):
            self._document = _Document(self._max_document)

    def _elements(self, array: Elements, chunk: bytes) -> Sequence[Event]:
        """Return the objects in an array, each as soon as it is whole."""
        self._size += len(chunk)
        if self._size > self._max_document:
            raise AnswerTooLarge(f"a document of more than {self._max_document} bytes")
        try:
            return [Event(element) for element in array.feed(chunk)]
        except TooMany as exc:
            raise AnswerTooLarge(str(exc)) from exc

    def _left(self) -> Iterator[Event]:
        try:
            yield from self._decoder.feed(self._beginning or b"")
            left = self._decoder.end()
        except TooLong as exc:
            raise AnswerTooLarge(str(exc)) from exc
        whole = left is not None and _is_whole(left.data)
        if left is not None and whole:
            yield left
        if _is_whole(stray := self._decoder.stray):
            yield Event(stray)
        if left is not None and not whole:
            raise BrokenStream("the stream was cut off inside an event")


class LineBody:
    """A body of lines; each that is not empty is the data of an event.

    A JSON document printed over several lines is one event.
    """

    def __init__(
        self, *, max_line: int = 4 << 20, max_document: int = 4 << 20, max_body: int = 64 << 20
    ) -> None:
        self._max_line = max_line
        self._max_document = max_document
        self._max_body = max_body
        # What follows the last line end; at first, all that came.
        self._rest: list[bytes] = []
        self._rest_size = 0
        # Whether the first line that is not blank has begun, and whether it has ended.
        self._told = self._begun = self._elided = False
        self._size = self._count = 0
        self._document: _Document | None = None

    def feed(self, chunk: bytes) -> Sequence[Event]:
        if not self._begun:
            if not self._ends_first_line(chunk):
                return ()
            chunk = self._begin()
        return self._read(chunk)

    def take(self, chunk: bytes, frame: Frame) -> str | None:
        return None

    def end(self) -> Iterator[Event]:
        if not self._begun and (first := self._begin()):
            yield from self._read(first)
        if self._document is not None:
            yield self._document.event()
        elif (last := b"".join(self._rest)).strip():
            if not _is_whole(last):
                raise BrokenStream("the stream was cut off inside a line")
            yield Event(last, elided=self._elided)

    def _ends_first_line(self, chunk: bytes) -> bool:
        """Take a part of the beginning; say whether it tells by now what the body is."""
        if not self._told:
            # Blank so far, and short.
            chunk = b"".join((*self._rest, chunk))
            self._rest, self._rest_size = [], 0
        self._rest.append(chunk)
        self._rest_size += len(chunk)
        if self._told:
            return b"\n" in chunk or self._rest_size > self._max_line
        self._told = _tells(chunk)
        return self._told and b"\n" in chunk.lstrip(_BLANK)

    def _begin(self) -> bytes:
        self._begun = True
        first = b"".join(self._rest)
        self._rest, self._rest_size = [], 0
        _refuse_page(first)
        line = first.strip(_BLANK).partition(b"\n")[0]
        if line[:1] in (b"{", b"[") and not _is_whole(line):
            self._document = _Document(self._max_document)
        return first

    def _read(self, chunk: bytes) -> Sequence[Event]:
        if self._document is None:
            return self._lines(chunk)
        self._document.feed(chunk)
        return ()

    def _lines(self, chunk: bytes) -> Sequence[Event]:
        self._size += len(chunk)
        if self._size > self._max_body:
            raise AnswerTooLarge(f"more than {self._max_body} bytes")
        head, newline, tail = chunk.rpartition(b"\n")
        found: list[Event] = []
        if newline:
            whole = b"".join((*self._rest, head)).split(b"\n")
            self._rest, self._rest_size = [], 0
            self._count += len(whole)
            if self._count > MAX_LINES:
                raise AnswerTooLarge(f"more than {MAX_LINES} lines")
            found = [Event(line) for line in whole if line.strip()]
            if self._elided and found:
                found[0] = found[0]._replace(elided=True)
            self._elided = False
        if tail:
            self._rest.append(tail)
            self._rest_size += len(tail)
            if self._rest_size > self._max_line:
                shorter = without_blobs(b"".join(self._rest), self._max_line)
                if shorter is None:
                    raise AnswerTooLarge(f"one line of more than {self._max_line} bytes")
                self._rest, self._rest_size, self._elided = [shorter], len(shorter), True
        return found


class _Document:
    """A document in pieces. Raises `WrongAddress` for a web page."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._pieces: list[bytes] = []
        self._size = self._received = 0
        self._told = False
        self._elided = False

    def feed(self, chunk: bytes) -> None:
        if not self._told:
            # Blank so far, and short.
            chunk = b"".join((*self._pieces, chunk))
            self._pieces, self._size = [], 0
            self._told = _tells(chunk)
            _refuse_page(chunk)
        self._pieces.append(chunk)
        self._size += len(chunk)
        self._received += len(chunk)
        if self._received > _MOST_ELIDED * self._max:
            raise AnswerTooLarge(f"a document of more than {_MOST_ELIDED * self._max} bytes")
        if self._size > self._max:
            shorter = without_blobs(b"".join(self._pieces), self._max)
            if shorter is None:
                raise AnswerTooLarge(f"a document of more than {self._max} bytes")
            self._pieces, self._size, self._elided = [shorter], len(shorter), True

    def event(self) -> Event:
        return Event(self.whole(), elided=self._elided)

    def whole(self) -> bytes:
        return b"".join(self._pieces).lstrip(_BLANK)


async def document(chunks: AsyncIterator[bytes], *, max_bytes: int = 4 << 20) -> bytes:
    """Return a body as a whole. Raises `WrongAddress` for a web page."""
    found = _Document(max_bytes)
    async for chunk in chunks:
        found.feed(chunk)
    return found.whole()


def _tells(beginning: bytes) -> bool:
    """Whether a body's beginning tells what it is."""
    return bool(beginning.strip(_BLANK)) or len(beginning) > 4096


def _refuse_page(first: bytes) -> None:
    if first.lstrip(_BLANK)[:1] == b"<":
        raise WrongAddress("a web page in place of an answer")


def _is_whole(data: bytes) -> bool:
    """Whether data that nothing ended is complete all the same."""
    if not data.strip():
        return bool(data)
    for load in (load_json, load_lines):
        try:
            load(data)
            return True
        except ValueError:
            pass
    return False
