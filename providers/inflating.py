"""Bodies that a server compressed although it was asked not to. No I/O of its own."""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from .errors import BrokenStream, unreadable

# What can be inflated; an answer in any other encoding is refused.
ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
# The window of zlib, and 32 to accept the heads of gzip and of zlib alike.
_WINDOW = 32 + zlib.MAX_WBITS
_PIECE_BYTES = 64 << 10
# The text of an answer shrinks to a thirtieth at most; what grows by so much more is made to cost memory.
_MOST_GROWTH = 100
_FREE_BYTES = 256 << 10


async def inflated(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces of bounded size, and give way to others between the pieces of one chunk."""
    inflater = _Inflater()
    async with aclosing(chunks):
        async for chunk in chunks:
            while piece := inflater.feed(chunk):
                yield piece
                chunk = b""
                if inflater.holds:
                    await asyncio.sleep(0)
    if not inflater.is_whole:
        raise BrokenStream("the compressed answer was cut off")


class _Inflater:
    """Feed it a chunk, then nothing until it gives nothing; raises for a body that grows too much."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_WINDOW)
        self._left = b""
        self._taken = self._given = 0
        self.holds = False

    @property
    def is_whole(self) -> bool:
        """Whether the body ended where a compressed stream does; an empty body is none."""
        return self._stream.eof or not self._taken

    def feed(self, chunk: bytes) -> bytes:
        self._taken += len(chunk)
        data, self._left = self._left + chunk, b""
        while data or self.holds:
            if self._stream.eof:
                # Several streams, one behind the other, are one body; what else stands behind is padding.
                if data[:1] != b"\x1f":
                    self.holds = False
                    return b""
                self._stream = zlib.decompressobj(_WINDOW)
            try:
                piece = self._stream.decompress(data, _PIECE_BYTES)
            except zlib.error as exc:
                raise unreadable("an answer that is not compressed as it says") from exc
            data = self._stream.unused_data or self._stream.unconsumed_tail
            # Of a full piece the rest may be inside the stream.
            self.holds = bool(data) or len(piece) == _PIECE_BYTES
            if piece:
                self._left = data
                self._given += len(piece)
                if self._given > _FREE_BYTES + _MOST_GROWTH * self._taken:
                    raise unreadable("a compressed answer that grows beyond all measure")
                return piece
        return b""
