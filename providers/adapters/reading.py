"""The one loop by which every adapter reads an answer."""

import asyncio
import json
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ..base import (
    Finished,
    ModelInfo,
    Output,
    ReasoningDelta,
    ReasoningEnd,
    ServedBy,
    StreamPart,
    TextDelta,
)
from ..blobs import ELIDED
from ..decoding import Body
from ..error_mapping import fault_in_stream, tells_error
from ..errors import (
    AnswerTooLarge,
    BrokenStream,
    EmptyAnswer,
    ModelNotFound,
    ProviderError,
    WrongAddress,
    unreadable,
)
from ..frames import Frame, Framed, learn
from ..redaction import seal
from ..retries import may_repair, pause_before_retry
from ..served import is_fit
from ..sse import Event
from ..text import clean_text, load_json, load_lines
from ..transport import Stream, get_json, limits, secrets_in
from .fields import number

if TYPE_CHECKING:
    import httpx

# An adapter that is given no extra headers.
NO_HEADERS: Mapping[str, str] = {}
# How long to wait for the usage once it is known how the answer ended.
LINGER = 5.0
# How long the end of the body may be behind the end marker.
GRACE = 0.05
# How many pages of a list of models are asked for at most.
MAX_PAGES = 20
# What is taken of a list of models: somebody keeps it, and a page shows it.
MAX_MODELS = 2000
MAX_MODEL_CHARS = 200
MAX_LIST_BYTES = 1 << 20
# What is looked at to find them.
MAX_ENTRIES = 10_000
_MAX_CURSOR = 2000
# No count is higher; one that is would not fit into a database, nor into JavaScript.
_MOST = 2**53
_MAX_DEPTH = 8
# So many frames are learnt in vain.
_MOST_TRIES = 8
# So much of a chunk is looked at together.
_PORTION = 16 << 10
_SPOKEN = (TextDelta, ReasoningDelta)


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

    @property
    def beside(self) -> Set[Output]:
        """What came besides text."""
        ...

    @property
    def asks(self) -> bool:
        """Whether only the text so far tells how to go on; once all parts are passed on, call `judge`."""
        ...

    def feed(self, data: bytes) -> Sequence[StreamPart]: ...

    def judge(self, said: str) -> Sequence[StreamPart]:
        """Return what was held back, now that the text so far is known."""
        ...

    def rest(self) -> Sequence[StreamPart]:
        """Return what was held back."""
        ...

    def finished(self, broken: ProviderError | None) -> Finished:
        """Return how the answer ended, or raise what makes it not whole."""
        ...


class PlainReader:
    """A reader of which nothing depends on the text so far, and that meets nothing but text."""

    asks = False
    beside: Set[Output] = frozenset()

    def judge(self, said: str) -> Sequence[StreamPart]:
        return ()


def never(fault: ProviderError) -> bool:
    return False


async def read_answer(
    ask: Callable[[], AbstractAsyncContextManager[Stream]],
    new_reader: Callable[[], Reader],
    *,
    headers: Mapping[str, str],
    asked: str = "",
    repair: Callable[[ProviderError], bool] = never,
    on_text: Callable[[str], None] | None = None,
    said: Callable[[], str] | None = None,
) -> AsyncGenerator[StreamPart, None]:
    """Ask the model `asked`, and yield the answer's parts, `Finished` last.

    Asks again, a few times at most, as long as not a word has been passed on:
    where the fault may pass by itself, or where `repair` could change the
    question so that the provider will take it. `headers` are those it is asked
    with: what the provider says went wrong must not repeat the key in them.
    `on_text` and `said` are the request's.
    """
    secrets = secrets_in(headers)
    loop = asyncio.get_running_loop()
    since = loop.time()
    retries = repairs = chars = 0
    most = limits().answer_chars
    # The text so far, where nobody else keeps it.
    own: list[str] | None = [] if said is None else None
    text_so_far = said or (lambda: "".join(own or ()))

    def take(parts: Parts, on_text: Callable[[str], None], chunk: bytes) -> bool:
        """Pass a chunk's text on without anybody being woken, if it is no more than that."""
        nonlocal chars
        if reader.done or reader.ending:
            return False
        text = parts.text(chunk)
        if text:
            if kept := text[: most - chars]:
                on_text(kept)
                if own is not None:
                    own.append(kept)
            chars += len(text)
            if chars > most:
                raise AnswerTooLarge(f"more than {most} characters")
        return text is not None

    def note(part: StreamPart) -> None:
        if isinstance(part, TextDelta) and own is not None:
            own.append(part.text)
        elif isinstance(part, ReasoningEnd) and own is not None:
            own.clear()

    while True:
        reader = new_reader()
        chars = 0
        broken: ProviderError | None = None
        leave_at: float | None = None
        over = False
        try:
            async with ask() as (chunks, body, offer_to):
                parts = Parts(reader, body)
                if on_text is not None:
                    offer_to(partial(take, parts, on_text))
                # The connection may stay open long after the end.
                while not (over or reader.done):
                    heard: Iterable[StreamPart]
                    try:
                        if reader.ending:
                            # Once for all: what follows may drip.
                            leave_at = leave_at or loop.time() + LINGER
                            async with asyncio.timeout_at(leave_at):
                                heard = parts.feed(await anext(chunks))
                        else:
                            heard = parts.feed(await anext(chunks))
                    except StopAsyncIteration:
                        over, heard = True, parts.end()
                    while True:
                        for part in heard:
                            if isinstance(part, _SPOKEN):
                                chars += len(part.text)
                                # It was not the end yet.
                                leave_at = None
                                if chars > most:
                                    if kept := part.text[: most - chars]:
                                        yield type(part)(kept)
                                    raise AnswerTooLarge(f"more than {most} characters")
                            elif (
                                isinstance(part, ServedBy)
                                and part.model != asked
                                and not is_fit(part.model, secrets)
                            ):
                                continue
                            if own is not None:
                                note(part)
                            yield part
                        if not reader.asks:
                            break
                        heard = reader.judge(text_so_far())
                if not over:
                    over = True
                    await _to_the_end(chunks)
        except TimeoutError:
            pass
        except ProviderError as exc:
            # What breaks behind the end is no matter.
            if not (over and reader.done) or isinstance(exc, AnswerTooLarge):
                broken = exc
        for part in _left(reader, text_so_far):
            if isinstance(part, _SPOKEN):
                if isinstance(broken, AnswerTooLarge):
                    continue
                chars += len(part.text)
            elif isinstance(part, ServedBy) and part.model != asked and not is_fit(part.model, secrets):
                continue
            note(part)
            yield part
        try:
            if isinstance(broken, AnswerTooLarge):
                # Cut by us, whatever the provider said of its end before.
                raise broken
            finished = replace(reader.finished(broken), beside=frozenset(reader.beside))
        except ProviderError as exc:
            fault = exc
            if type(fault) is BrokenStream and broken is None and not (chars or reader.beside or reader.done):
                fault = EmptyAnswer(exc.detail)
            seal(fault, secrets)
            if chars:
                raise fault from exc
            elapsed = loop.time() - since
            if may_repair(repairs=repairs, elapsed=elapsed) and repair(fault):
                repairs += 1
                continue
            pause = pause_before_retry(fault, retries=retries, elapsed=elapsed, total=limits().total_seconds)
            if pause is None:
                raise fault from exc
            retries += 1
            await asyncio.sleep(pause)
        else:
            yield finished
            return


def _left(reader: Reader, text_so_far: Callable[[], str]) -> Iterator[StreamPart]:
    """Yield what was held back until the end."""
    yield from reader.rest()
    while reader.asks:
        yield from reader.judge(text_so_far())


class Parts:
    """What a body says, chunk by chunk: through its reader, or past it where a frame is known."""

    def __init__(self, reader: Reader, body: Body) -> None:
        self._reader = reader
        self._body = body
        self._framed = reader if isinstance(reader, Framed) else None
        self._frame: Frame | None = None
        self._tries = _MOST_TRIES

    def feed(self, chunk: bytes) -> Iterable[StreamPart]:
        if len(chunk) > _PORTION and self._framed is not None:
            return _joined(self._portions(chunk))
        text = self.text(chunk)
        if text is not None:
            return (TextDelta(text),) if text else ()
        batch = self._body.feed(chunk)
        if self._framed is None or not self._tries:
            return _said(self._reader, batch)
        return self._learning(batch, self._framed)

    def text(self, chunk: bytes) -> str | None:
        """Return the text of a chunk of which it is known that it is nothing else; else feed it."""
        if self._frame is None or self._framed is None or not self._framed.text_only:
            return None
        if len(chunk) > _PORTION or (text := self._body.take(chunk, self._frame)) is None:
            return None
        self._tries = _MOST_TRIES
        return text

    def end(self) -> Iterator[StreamPart]:
        return _joined(part for event in self._body.end() for part in _fed(self._reader, event))

    def _portions(self, chunk: bytes) -> Iterator[StreamPart]:
        """Read a large chunk bit by bit: a frame learnt from its beginning is of use for the rest of it."""
        for at in range(0, len(chunk), _PORTION):
            yield from self.feed(chunk[at : at + _PORTION])

    def _learning(self, batch: Sequence[Event], reader: Framed) -> Iterator[StreamPart]:
        part: StreamPart | None = None
        for part in _said(self._reader, batch):
            yield part
        if type(part) is TextDelta and reader.text_only:
            # Where each event is framed anew, that is not tried for ever.
            self._tries -= 1
            self._frame = learn(batch[-1].data, batch[-1].name, reader.only_text, reader.mark) or self._frame


def _said(reader: Reader, batch: Sequence[Event]) -> Iterable[StreamPart]:
    if len(batch) == 1:
        parts = _fed(reader, batch[0])
        return _joined(parts) if len(parts) > 1 else parts
    return _joined(part for event in batch for part in _fed(reader, event))


def _fed(reader: Reader, event: Event) -> Sequence[StreamPart]:
    parts = reader.feed(event.data if event.name != "error" else _error(event.data))
    if event.elided and any(isinstance(part, _SPOKEN) and ELIDED in part.text for part in parts):
        # It was no image: that is missing in what somebody is to read.
        raise AnswerTooLarge("an event that is longer than it may be")
    return parts


def _joined(parts: Iterable[StreamPart]) -> Iterator[StreamPart]:
    """Yield what came at once, neighbouring pieces of text as one.

    Where nothing waits, each piece comes by itself; under load this spares most of what a piece costs.
    """
    kind: type[TextDelta] | type[ReasoningDelta] = TextDelta
    texts: list[str] = []
    try:
        for part in parts:
            if type(part) is kind:
                texts.append(part.text)
                continue
            if texts:
                yield kind("".join(texts))
                texts = []
            if isinstance(part, _SPOKEN):
                kind = type(part)
                texts.append(part.text)
            else:
                yield part
    except ProviderError:
        if texts:
            yield kind("".join(texts))
        raise
    if texts:
        yield kind("".join(texts))


def _error(data: bytes) -> bytes:
    """Return the data of an event named `error` as every protocol tells one: under that key."""
    try:
        found = objects(data)
    except ProviderError:
        found = []
    if any(map(tells_error, found)):
        return data
    # Several where the empty lines between events are missing.
    *before, last = found or [{"message": data.decode("utf-8", "replace")}]
    return "\n".join(map(json.dumps, (*before, {"error": last or True}))).encode()


async def _to_the_end(chunks: AsyncIterator[bytes]) -> None:
    """Read what is left behind the end marker, if it is there at once.

    Most bodies end right behind it, and a connection read to its end can be used
    again: the next question to this provider then needs no new one.
    """
    async with asyncio.timeout(GRACE):
        async for _ in chunks:
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
        # A keep-alive that is no comment.
        if data.strip().isalpha():
            return []
        try:
            return [DONE if found is None else found for found in load_lines(data)]
        except ValueError:
            raise unreadable("a chunk is no JSON") from exc
    if isinstance(loaded, dict):
        return [loaded]
    return [item for item in loaded if isinstance(item, dict)] if isinstance(loaded, list) else []


def count(holder: Any, *names: str) -> int | None:
    """Return the first of these keys that holds a number of tokens."""
    if isinstance(holder, dict):
        for name in names:
            value = number(holder.get(name))
            if value is not None and 0 <= value < _MOST:
                return value
    return None


def total(*counts: int | None) -> int | None:
    """Return the sum of those that are known, or `None` where no count can be so high."""
    added = sum(filter(None, counts))
    return added if added < _MOST else None


def named(value: Any) -> str:
    """Return a reason that should be a word; what is something else is one that nobody knows."""
    return value if isinstance(value, str) else "other"


def joined(value: Any, depth: int = _MAX_DEPTH) -> str:
    """Return the text of a string, or of a list of strings and text pieces."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, dict):
        return joined(value.get("text"), depth - 1)
    if depth and isinstance(value, list):
        return "".join(joined(item, depth - 1) for item in value)
    return ""


def model_info(id_: Any, name: Any = None, context_window: int | None = None) -> ModelInfo | None:
    """Return a model as it was listed, or `None` where that is no name one could ask for."""
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_MODEL_CHARS or clean_text(id_) != id_:
        return None
    called = clean_text(name[:MAX_MODEL_CHARS]) if isinstance(name, str) else ""
    return ModelInfo(id_, called if called and called != id_ else None, context_window)


async def get_list(client: "httpx.AsyncClient | None", url: str, *, headers: Mapping[str, str]) -> Any:
    """GET a list of models, or a page of one. What is missing there is the list and not a model."""
    try:
        page = await get_json(client, url, headers=headers)
    except ModelNotFound as exc:
        raise WrongAddress(exc.detail, words=exc.words, status=exc.status) from exc
    first = page[0] if isinstance(page, list) and page else page
    if isinstance(first, dict) and tells_error(first):
        fault = fault_in_stream(first)
        seal(fault, secrets_in(headers))
        raise fault
    return page


def entries(listed: Any) -> list[dict[str, Any]]:
    """Return what a list of models consists of, so far as it is looked at; raises `WrongAddress` for none."""
    if not isinstance(listed, list):
        raise WrongAddress("no list of models")
    return [entry for entry in listed[:MAX_ENTRIES] if isinstance(entry, dict)]


def bounded(models: Iterable[ModelInfo | None]) -> list[ModelInfo]:
    """Return so many of the models as a list may have, each once."""
    kept: dict[str, ModelInfo] = {}
    size = 0
    for model in models:
        if model is None or model.id in kept:
            continue
        size += len(f"{model.id}{model.name or ''}".encode()) + 64
        if len(kept) == MAX_MODELS or size > MAX_LIST_BYTES:
            break
        kept[model.id] = model
    return list(kept.values())


def cursor(value: Any) -> str:
    """Return where a list goes on, ready for a query, or "" where that is nothing one could ask for."""
    usable = isinstance(value, str) and len(value) <= _MAX_CURSOR
    return quote(clean_text(value), safe="") if usable else ""


def model_in_path(model: str) -> str:
    """Return a model's name as a part of a path; raises `ModelNotFound` for what would lead elsewhere."""
    if not {"", ".", ".."}.isdisjoint(re.split(r"[/\\]", model)):
        raise ModelNotFound("no name for a model")
    return quote(clean_text(model), safe="")
