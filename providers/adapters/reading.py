"""The one loop by which every adapter reads an answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

from ..base import Finished, ReasoningDelta, StreamPart, TextDelta
from ..errors import AnswerTooLarge, ProviderError
from ..faults import unreadable
from ..retries import pause_before_retry
from ..sse import Event
from ..text import load_json
from ..transport import limits

# How long to wait for the usage once it is known how the answer ended.
LINGER = 5.0
# How long the end of the body may be behind the end marker.
GRACE = 0.05
# How many pages of a list of models are asked for at most.
MAX_PAGES = 20

Events = AsyncGenerator[list[Event], None]


class Reader(Protocol):
    """One protocol's pure half: the data of an answer in, its parts out."""

    @property
    def done(self) -> bool:
        """Whether the provider's end marker was read, and nothing can follow."""
        ...

    @property
    def ending(self) -> bool:
        """Whether it was read how the answer ended, so that only the usage can follow."""
        ...

    def feed(self, data: bytes) -> Sequence[StreamPart]: ...

    def rest(self) -> Sequence[StreamPart]:
        """Return what was held back, the usage last."""
        ...

    def finished(self, broken: ProviderError | None) -> Finished:
        """Return how the answer ended, or raise what makes it not whole."""
        ...


def never(fault: ProviderError) -> bool:
    return False


async def read_answer(
    ask: Callable[[], Events],
    new_reader: Callable[[], Reader],
    *,
    repair: Callable[[ProviderError], bool] = never,
) -> AsyncGenerator[StreamPart, None]:
    """Ask, and yield the answer's parts, `Finished` last.

    Asks again, a few times at most, as long as not a word has been passed on:
    where the fault may pass by itself, or where `repair` could change the
    question so that the provider will take it.
    """
    loop = asyncio.get_running_loop()
    since = loop.time()
    retries = 0
    most = limits().answer_chars
    while True:
        reader = new_reader()
        chars = 0
        broken: ProviderError | None = None
        try:
            async with aclosing(ask()) as events:
                # The connection may stay open long after the end.
                while not reader.done:
                    if reader.ending:
                        async with asyncio.timeout(LINGER):
                            batch = await anext(events)
                    else:
                        batch = await anext(events)
                    for event in batch:
                        for part in reader.feed(event.data):
                            yield part
                            if isinstance(part, TextDelta | ReasoningDelta):
                                chars += len(part.text)
                    if chars > most:
                        raise AnswerTooLarge(f"more than {most} characters")
                await _to_the_end(events)
        except (StopAsyncIteration, TimeoutError):
            pass
        except ProviderError as exc:
            broken = exc
        for part in reader.rest():
            yield part
            if isinstance(part, TextDelta | ReasoningDelta):
                chars += len(part.text)
        try:
            finished = reader.finished(broken)
        except ProviderError as fault:
            if chars:
                raise
            if repair(fault):
                continue
            pause = pause_before_retry(fault, retries=retries, elapsed=loop.time() - since)
            if pause is None:
                raise
            retries += 1
            await asyncio.sleep(pause)
        else:
            yield finished
            return


async def _to_the_end(events: Events) -> None:
    """Read what is left behind the end marker, if it is there at once.

    Most bodies end right behind it, and a connection read to its end can be used
    again: the next question to this provider then needs no new one.
    """
    with suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(GRACE):
            async for _ in events:
                pass


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


def joined(value: Any) -> str:
    """Return the text of a string, or of a list of strings and text pieces."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return joined(value.get("text"))
    return "".join(map(joined, value)) if isinstance(value, list) else ""
