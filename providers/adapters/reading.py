"""The one loop by which every adapter reads an answer."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Protocol

from ..base import Finished, StreamPart
from ..errors import ProviderError
from ..faults import unreadable
from ..sse import Event
from ..text import load_json


class Reader(Protocol):
    """One protocol's pure half: data in, parts out."""

    @property
    def done(self) -> bool:
        """Whether the provider's end marker was read, and nothing can follow."""
        ...

    def feed(self, data: bytes) -> Iterable[StreamPart]: ...

    def rest(self) -> Iterable[StreamPart]:
        """Return what was held back, the usage last."""
        ...

    def finished(self, broken: ProviderError | None) -> Finished:
        """Return how the answer ended, or raise what makes it not whole."""
        ...


async def read_answer(
    events: AsyncGenerator[list[Event], None], reader: Reader
) -> AsyncGenerator[StreamPart, None]:
    broken = None
    try:
        async with aclosing(events):
            async for batch in events:
                for event in batch:
                    for part in reader.feed(event.data):
                        yield part
                # The socket may stay open long after the end marker.
                if reader.done:
                    break
    except ProviderError as exc:
        broken = exc
    for part in reader.rest():
        yield part
    yield reader.finished(broken)


# What `objects` gives for OpenAI's end marker, which is no JSON.
DONE: dict[str, Any] = {}


def objects(data: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects in one event's data: nearly always one.

    Raises `BrokenStream` for what is none.
    """
    try:
        loaded = load_json(data)
    except ValueError as exc:
        lines = [line for line in data.split(b"\n") if line.strip()]
        if len(lines) > 1:
            # Events without the empty line between them come as one.
            return [found for line in lines for found in objects(line)]
        text = data.strip()
        if text == b"[DONE]":
            return [DONE]
        # A keep-alive that is no comment.
        if text.isalpha() or not text:
            return []
        raise unreadable("a chunk is no JSON") from exc
    if isinstance(loaded, dict):
        return [loaded]
    return [item for item in loaded if isinstance(item, dict)] if isinstance(loaded, list) else []


def count(holder: Any, *names: str) -> int | None:
    """Return the first of these keys that holds a number of tokens."""
    if isinstance(holder, dict):
        for name in names:
            value = holder.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
    return None
