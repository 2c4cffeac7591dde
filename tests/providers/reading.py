"""Read an answer to its end, and keep what came."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from providers.adapters.reading import Reader, read_answer
from providers.base import (
    Adapter,
    ChatRequest,
    Finished,
    ReasoningDelta,
    ReasoningEnd,
    ServedBy,
    StreamPart,
    TextDelta,
    Usage,
)
from providers.decoding import Body, EventBody
from providers.errors import ProviderError
from providers.sse import Event
from providers.transport import Stream


@dataclass
class Read:
    parts: list[StreamPart] = field(default_factory=list)
    # A `ProviderError`, or `None`; a test that looks into it says by that that there is one.
    error: Any = None
    seconds: float = 0
    # How many of the texts came past the generator.
    at_once: int = 0

    @property
    def text(self) -> str:
        return self._words()[1]

    @property
    def reasoning(self) -> str:
        return self._words()[0]

    def _words(self) -> tuple[str, str]:
        reasoning = text = ""
        for part in self.parts:
            if isinstance(part, TextDelta):
                text += part.text
            elif isinstance(part, ReasoningDelta):
                reasoning += part.text
            elif isinstance(part, ReasoningEnd):
                reasoning, text = reasoning + text.strip(), ""
        return reasoning, text

    @property
    def served_by(self) -> str | None:
        named = [part.model for part in self.parts if isinstance(part, ServedBy)]
        return named[-1] if named else None

    @property
    def usages(self) -> list[Usage]:
        return [part for part in self.parts if isinstance(part, Usage)]

    @property
    def usage(self) -> Any:
        return self.usages[-1] if self.usages else None

    @property
    def finish(self) -> str | None:
        last = self.parts[-1] if self.parts else None
        return last.reason if isinstance(last, Finished) else None


async def collect(parts: AsyncGenerator[StreamPart, None], got: Read | None = None) -> Read:
    loop = asyncio.get_running_loop()
    got, since = got or Read(), loop.time()
    try:
        async with aclosing(parts):
            async for part in parts:
                got.parts.append(part)
    except ProviderError as exc:
        got.error = exc
    got.seconds = loop.time() - since
    assert not any(isinstance(part, Finished) for part in got.parts[:-1])
    assert all(part.text for part in got.parts if isinstance(part, TextDelta | ReasoningDelta))
    return got


async def read(
    new_reader: Callable[[], Reader], pieces: Iterable[bytes], new_body: Callable[[], Body] = EventBody
) -> Read:
    """Give a protocol's reader a body in these pieces, without a network."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece

    @asynccontextmanager
    async def ask() -> AsyncIterator[Stream]:
        async with aclosing(chunks()) as sent:
            yield Stream(sent, new_body())

    return await collect(read_answer(ask, new_reader, headers={}))


async def batches(stream: AbstractAsyncContextManager[Stream]) -> AsyncGenerator[list[Event], None]:
    """Yield a stream's events: all that became whole, each time something did."""
    async with stream as (chunks, body, _):
        async for chunk in chunks:
            if batch := body.feed(chunk):
                yield list(batch)
        if batch := list(body.end()):
            yield batch


async def over_http(adapter: Adapter, request: ChatRequest) -> Read:
    """Read as an answer does: some of the text comes at once, the rest as parts."""
    got = Read()

    def on_text(text: str) -> None:
        got.at_once += 1
        got.parts.append(TextDelta(text))

    return await collect(adapter.stream(replace(request, on_text=on_text)), got)
