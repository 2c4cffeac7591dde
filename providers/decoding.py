"""Bodies to events, lines or documents, whatever a server calls what it sends. No I/O of its own."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from .arrays import Elements, TooMany
from .errors import AnswerTooLarge, BrokenStream, WrongAddress
from .sse import MAX_LINES, Decoder, Event, TooLong
from .text import load_json, load_lines

_BLANK = b"\xef\xbb\xbf \t\r\n"


async def events(
    chunks: AsyncIterator[bytes],
    *,
    max_event: int = 4 << 20,
    max_document: int = 4 << 20,
    max_body: int = 64 << 20,
) -> AsyncGenerator[list[Event], None]:
    """Yield a body's events: all that became whole, each time something did.

    A JSON document in place of a stream is one event, whatever its content type
    was, and so is each object in an array. An event left open at the end is
    given if its JSON is whole, and so is a JSON object that was printed into the
    stream without being an event. Raises `BrokenStream` where the last event is
    cut.
    """
    decoder = Decoder(max_bytes=max_event)
    first = await _beginning(chunks)
    if first.lstrip(_BLANK)[:1] == b"[":
        async with aclosing(_elements(_with(first, chunks), max_bytes=max_document)) as elements:
            async for batch in elements:
                yield batch
        return
    if first.lstrip(_BLANK)[:1] in (b"{", b"<"):
        yield [Event(await document(_with(first, chunks), max_bytes=max_document))]
        return
    try:
        if batch := decoder.feed(first):
            yield batch
        size = len(first)
        async for chunk in chunks:
            size += len(chunk)
            if size > max_body:
                raise AnswerTooLarge(f"more than {max_body} bytes")
            if batch := decoder.feed(chunk):
                yield batch
    except TooLong as exc:
        raise AnswerTooLarge(str(exc)) from exc
    left = decoder.end()
    if batch := [event for event in (left, Event(decoder.stray)) if event and _is_whole(event.data)]:
        yield batch
    if left and left not in batch:
        raise BrokenStream("the stream was cut off inside an event")


async def lines(
    chunks: AsyncIterator[bytes], *, max_line: int = 4 << 20, max_body: int = 64 << 20
) -> AsyncGenerator[list[Event], None]:
    """Yield a body's lines that are not empty, each as the data of an event.

    A JSON document printed over several lines is one event.
    """
    first = _no_page(await _line(chunks, max_line))
    if first.lstrip(_BLANK)[:1] in (b"{", b"[") and not _is_whole(first.strip(_BLANK).partition(b"\n")[0]):
        yield [Event(await document(_with(first, chunks), max_bytes=max_line))]
        return
    rest: list[bytes] = []
    size = total = count = 0
    async for chunk in _with(first, chunks):
        total += len(chunk)
        if total > max_body:
            raise AnswerTooLarge(f"more than {max_body} bytes")
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            whole = b"".join((*rest, head)).split(b"\n")
            rest, size = [], 0
            count += len(whole)
            if count > MAX_LINES:
                raise AnswerTooLarge(f"more than {MAX_LINES} lines")
            if batch := [Event(line) for line in whole if line.strip()]:
                yield batch
        if tail:
            rest.append(tail)
            size += len(tail)
            if size > max_line:
                raise AnswerTooLarge(f"one line of more than {max_line} bytes")
    if (last := b"".join(rest)).strip():
        if not _is_whole(last):
            raise BrokenStream("the stream was cut off inside a line")
        yield [Event(last)]


async def document(chunks: AsyncIterator[bytes], *, max_bytes: int = 4 << 20) -> bytes:
    """Return a body as a whole. Raises `WrongAddress` for a web page."""
    first = _no_page(await _beginning(chunks))
    pieces, size = [first], len(first)
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise AnswerTooLarge(f"a document of more than {max_bytes} bytes")
    return b"".join(pieces).lstrip(_BLANK)


async def _elements(
    chunks: AsyncGenerator[bytes, None], *, max_bytes: int
) -> AsyncGenerator[list[Event], None]:
    """Yield the objects in an array, each as soon as it is whole."""
    array = Elements()
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise AnswerTooLarge(f"a document of more than {max_bytes} bytes")
            try:
                found = array.feed(chunk)
            except TooMany as exc:
                raise AnswerTooLarge(str(exc)) from exc
            if found:
                yield [Event(element) for element in found]
    if not array.closed:
        raise BrokenStream("the document was cut off")


async def _line(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """Return the body so far as its first line goes that is not blank, or more."""
    first = await _beginning(chunks)
    pieces, size = [first], len(first)
    if b"\n" not in first.lstrip(_BLANK):
        async for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            if b"\n" in chunk or size > most:
                break
    return b"".join(pieces)


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the body up to the first chunk that tells what it is."""
    first = b""
    async for chunk in chunks:
        first += chunk
        if first.strip(_BLANK) or len(first) > 4096:
            break
    return first


def _no_page(first: bytes) -> bytes:
    if first.lstrip(_BLANK)[:1] == b"<":
        raise WrongAddress("a web page in place of an answer")
    return first


async def _with(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for chunk in chunks:
        yield chunk


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
