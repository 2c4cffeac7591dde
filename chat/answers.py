"""The running answers of this process.

An answer belongs to the process, not to the request that began it: a task pulls
it from the provider, any number of readers follow it, and it is saved once, when
it ends. An answer only grows at its end, so a reader is two numbers (`Position`).
The one exception is content that turns out to be reasoning: then every reader starts
over.

Per piece of text this costs one append and, where a reader waits, one
`set_result`: no lock, no queue, no timer, no task.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol
from uuid import UUID

import orjson

from chat import events, faults, metrics
from chat.events import Position
from chat.history import Context
from chatproject import request_ids
from providers.base import (
    Adapter,
    ChatRequest,
    Finished,
    FinishReason,
    Output,
    ReasoningDelta,
    ReasoningEnd,
    ServedBy,
    TextDelta,
    Usage,
)
from providers.errors import ProviderError, ProviderTimeout

logger = logging.getLogger(__name__)

PING_SECONDS = 15
# Pieces that everybody has are joined each time there are so many more.
MERGE_PIECES = 5000
# Where reasoning and content have taken turns so often, who comes later is told first the one, then the
# other, and so is a reader that has so many pieces yet to take: they are not kept apart any longer.
MOST_TURNS = 1000
MOST_WAITING = 20_000
# So many characters a reader takes at once; each piece counts for some more. What waits for a client that
# has stopped reading is no more than that.
PORTION_CHARS = 64 << 10
PIECE_CHARS = 64
# In place of a number of pieces: what a reader has is known by its position alone.
BEHIND = -1
LAST_SAVE_SECONDS = 3
# Between two pieces of reasoning that were not one.
GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer ended; `status` is one of `Message.Status` except `streaming`."""

    status: str
    finish_reason: str = ""
    error_code: str = ""
    retry_after: float | None = None
    # Where it is known of this very fault, and not only of its kind.
    retryable: bool | None = None
    # The provider's own words, and its HTTP status.
    detail: str = ""
    http_status: int | None = None


STOPPED = Outcome("stopped", finish_reason="stopped")
INTERRUPTED = Outcome("interrupted", error_code=faults.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first event of every stream says."""

    message_id: UUID
    session_id: UUID
    user_message_id: UUID | None
    title: str
    # How much of the conversation the model was sent; unknown of answers from before it was stored.
    context: Context | None = None

    def encode(self, position: Position, *, reset: bool = False) -> bytes:
        """Return the `session` event; with `reset`, who has some of the text already must forget it."""
        data: dict[str, Any] = {
            "sessionId": str(self.session_id),
            "messageId": str(self.message_id),
            "userMessageId": str(self.user_message_id) if self.user_message_id else None,
            "title": self.title,
            "context": self.context.data() if self.context else None,
        }
        if reset:
            data["reset"] = True
        return events.encode("session", self.message_id, position, data)


class Way(Protocol):
    """Out to one client, where a piece needs no waiting."""

    @property
    def is_free(self) -> bool: ...

    def write(self, piece: bytes) -> None: ...


class Outlet:
    """What a reader's pieces may take while it waits, once the server has said which way that is."""

    way: Way | None = None
    left_at: Position | None = None  # what the reader had when it left


# Whether it is reasoning, and the text.
Piece = tuple[bool, str]


class Reader:
    """One who follows an answer; waits on `future` when there is nothing new.

    While it waits, all that went before has been handed to the server, so that a new piece can follow at
    once, by its outlet, without waking anybody.
    """

    __slots__ = ("content", "future", "outlet", "reasoning", "reset", "sent_at", "skip", "taken")

    def __init__(self, now: float, position: Position, outlet: Outlet | None) -> None:
        self.future: asyncio.Future[None] | None = None
        self.outlet = outlet
        self.sent_at = now
        self.taken = 0  # of the answer's pieces, or `BEHIND`
        self.skip = 0  # and so many characters of the next
        self.reasoning, self.content, _ = position  # characters of each that the reader has
        self.reset = False  # whether it has to be told to forget what it has

    def start_over(self) -> None:
        """Take everything again, from the first piece on."""
        self.reset = True
        self.taken = self.skip = self.reasoning = self.content = 0
        self.wake()

    def wake(self) -> None:
        future, self.future = self.future, None
        if future is not None and not future.done():
            future.set_result(None)


class RunningAnswer:
    """The text of one answer while it grows, and who follows it."""

    def __init__(
        self,
        opening: Opening,
        *,
        reasoning: str = "",
        content: str = "",
        earlier: Usage | None = None,
        served_model: str = "",
        resets: int = 0,
    ) -> None:
        self.opening = opening
        self.id = opening.message_id
        # In the order of arrival; a continued answer begins with what it had.
        self.pieces: list[Piece] = [piece for piece in ((True, reasoning), (False, content)) if piece[1]]
        self.start = Position(len(reasoning), len(content), resets)
        self.resets = resets
        self.usage: Usage | None = None
        # What was counted for the text that a continued answer began with.
        self.earlier = earlier
        self.finish_reason: FinishReason | None = None
        # What came besides text, the provider's name for its model, and what is stored of the two.
        self.beside: frozenset[Output] = frozenset()
        self.served_by = ""
        self.served_model = served_model
        self.notice = ""
        self._loop = asyncio.get_running_loop()
        self.started_at = self._loop.time()
        self.first_token_at: float | None = None
        self.ended_at: float | None = None
        self._thinking = False
        self._turned_at = self.started_at
        self._thought: float | None = None  # seconds
        self.outcome: Outcome | None = None
        # How many characters there are; how many of them are stored, and since when.
        self.chars = len(reasoning) + len(content)
        self.kept = self.start
        self.kept_at = self.started_at
        # The text of the first so many pieces, joined.
        self._joined = (reasoning, content)
        self._joined_pieces = len(self.pieces)
        self._merge_at = MERGE_PIECES
        self.ended = asyncio.Event()
        self._forms = self._text_forms()
        self._readers: list[Reader] = []
        self._task: asyncio.Task[None] | None = None
        self._pulling = False
        self._ending: Outcome | None = None

    # --- growing

    def grow(self, part: object) -> None:
        """Take one part from the provider and wake those who wait for it."""
        kind = type(part)
        if kind is TextDelta:
            self._append(False, part.text)  # type: ignore[attr-defined]
        elif kind is ReasoningDelta:
            self._append(True, part.text)  # type: ignore[attr-defined]
        elif isinstance(part, Usage):
            self.usage = part
        elif isinstance(part, Finished):
            self.finish_reason, self.beside = part.reason, part.beside
        elif isinstance(part, ServedBy):
            self.served_by = part.model
        elif isinstance(part, ReasoningEnd):
            self._reset()

    def said(self) -> str:
        """Return what this run has given of content."""
        return self.texts()[1][self.start.content :]

    def _reset(self) -> None:
        """Take all content of this run for reasoning, and have every reader start over."""
        reasoning, content = self.texts()
        thought = content[self.start.content :].strip()
        gap = GAP if reasoning and thought else ""
        reasoning, content = f"{reasoning}{gap}{thought}", content[: self.start.content]
        self.pieces = [piece for piece in ((True, reasoning), (False, content)) if piece[1]]
        self.chars = len(reasoning) + len(content)
        self._joined, self._joined_pieces = (reasoning, content), len(self.pieces)
        self._merge_at = MERGE_PIECES
        if self.first_token_at is not None and not self._thinking:
            self._thought = (self._thought or 0) + self._loop.time() - self.first_token_at
        self._thinking = False
        self.resets += 1
        self._forms = self._text_forms()
        # What is stored is to follow at once.
        self.kept_at = float("-inf")
        for reader in self._readers:
            reader.start_over()

    def _text_forms(self) -> tuple[bytes, bytes]:
        message, reasoning = (
            events.text_form(name, self.id, self.resets) for name in ("message", "reasoning")
        )
        return message, reasoning

    def say(self, text: str) -> None:
        """Take a piece of content as `grow` does, straight from where it came in."""
        self._append(False, text)

    def _append(self, is_reasoning: bool, text: str) -> None:
        if not text:
            return
        if self.first_token_at is None:
            self.first_token_at = self._loop.time()
        if is_reasoning is not self._thinking:
            self._turn(is_reasoning)
        self.pieces.append((is_reasoning, text))
        self.chars += len(text)
        if len(self.pieces) >= self._merge_at:
            self._merge()
        for reader in self._readers:
            if reader.future is None:
                continue
            way = None if reader.outlet is None else reader.outlet.way
            if way is not None and len(text) <= PORTION_CHARS and way.is_free:
                way.write(self._take(reader))
                reader.sent_at = self._loop.time()
            else:
                reader.wake()

    def texts(self) -> tuple[str, str]:
        """Return the reasoning and the content so far."""
        new = self.pieces[self._joined_pieces :]
        if new:
            reasoning, content = self._joined
            self._joined = (
                reasoning + "".join([text for is_reasoning, text in new if is_reasoning]),
                content + "".join([text for is_reasoning, text in new if not is_reasoning]),
            )
            self._joined_pieces = len(self.pieces)
        return self._joined

    def _merge(self) -> None:
        """Join the pieces that every reader has taken: there may be millions, of a letter each."""
        self.texts()
        taken = len(self.pieces)
        for reader in self._readers:
            if reader.taken < len(self.pieces) - MOST_WAITING:
                reader.taken = BEHIND
            if reader.taken != BEHIND:
                taken = min(taken, reader.taken)
        merged = _joined(groupby(self.pieces[:taken], key=itemgetter(0)))
        if len(merged) > MOST_TURNS:
            merged.sort(key=itemgetter(0), reverse=True)
            merged = _joined(groupby(merged, key=itemgetter(0)))
        gone = taken - len(merged)
        self.pieces[:taken] = merged
        self._joined_pieces -= gone
        for reader in self._readers:
            if reader.taken != BEHIND:
                reader.taken -= gone
        self._merge_at = len(self.pieces) + MERGE_PIECES

    def _turn(self, to_reasoning: bool) -> None:
        now = self._loop.time()
        if self._thinking:
            self._thought = (self._thought or 0) + now - self._turned_at
        self._thinking, self._turned_at = to_reasoning, now

    def thinking_milliseconds(self) -> int | None:
        """Return how long the model thought; nobody knows where that began in another run."""
        thought = self._thought
        if self._thinking and self.ended_at is not None:
            thought = (thought or 0) + self.ended_at - self._turned_at
        return None if thought is None or self.start.reasoning else round(thought * 1000)

    def milliseconds_to(self, moment: float | None) -> int | None:
        return None if moment is None else round((moment - self.started_at) * 1000)

    # --- ending

    def stop(self, outcome: Outcome) -> None:
        """End the answer with `outcome` now, closing the provider's connection."""
        if self.outcome is not None or self._ending is not None:
            return
        self._ending = outcome
        if self._pulling and self._task is not None:
            self._task.cancel()

    def end(self, outcome: Outcome) -> None:
        """Tell every reader that this is all."""
        self.outcome = outcome
        self.ended.set()
        for reader in self._readers:
            reader.wake()

    def ping_idle(self, now: float) -> None:
        for reader in self._readers:
            if now - reader.sent_at >= PING_SECONDS:
                reader.wake()

    # --- running

    def begin(
        self, adapter: Callable[[], Adapter], request: ChatRequest, *, save: "Save", seconds: float
    ) -> None:
        """Start the task that runs this answer to its end, however that comes.

        The task inherits nothing but the id of the request that began it, which may be long gone.
        """
        running[self.id] = self
        metrics.started()
        context = contextvars.Context()
        context.run(request_ids.use, request_ids.current())  # for the lines of the log
        self._task = self._loop.create_task(self._run(adapter, request, save, seconds), context=context)

    async def _run(
        self, adapter: Callable[[], Adapter], request: ChatRequest, save: "Save", seconds: float
    ) -> None:
        told = Outcome("failed", error_code=faults.SERVER_ERROR)
        try:
            outcome = await self._pull(adapter, request, seconds)
            self.ended_at = self._loop.time()
            saved = await self._saved(save, outcome)
            told = outcome if saved else Outcome("failed", error_code=faults.DELETED)
        except Exception:
            logger.exception("answer %s could not be saved", self.id)
        finally:
            # However it came to this, no reader may wait for ever.
            if running.get(self.id) is self:
                del running[self.id]
            self.end(told)
            metrics.ended(self, told)

    async def _saved(self, save: "Save", outcome: Outcome) -> bool:
        """Save, whoever cancels this task meanwhile: twice does no harm, not at all loses the answer."""
        try:
            return await save(self, outcome)
        except asyncio.CancelledError:
            # The process is ending, and cannot wait for a database that is away.
            async with asyncio.timeout(LAST_SAVE_SECONDS):
                return await save(self, outcome)

    async def _pull(self, adapter: Callable[[], Adapter], request: ChatRequest, seconds: float) -> Outcome:
        if self._ending is not None:
            return self._ending
        self._pulling = True
        asked = replace(request, on_text=self.say, said=self.said)
        try:
            async with asyncio.timeout(seconds), aclosing(adapter().stream(asked)) as parts:
                async for part in parts:
                    self.grow(part)
            return Outcome("complete", finish_reason=str(self.finish_reason or "stop"))
        except ProviderError as exc:
            logger.warning("answer %s failed: %s", self.id, exc)
            return Outcome(
                "failed",
                error_code=exc.code,
                retry_after=exc.retry_after,
                retryable=exc.retryable,
                detail=exc.words,
                http_status=exc.status,
            )
        except TimeoutError:
            logger.warning("answer %s took longer than %s seconds", self.id, seconds)
            return Outcome("failed", error_code=ProviderTimeout.code)
        except asyncio.CancelledError:
            return self._cancelled()
        except Exception:
            logger.exception("answer %s failed", self.id)
            return Outcome("failed", error_code=faults.SERVER_ERROR)
        finally:
            self._pulling = False

    def _cancelled(self) -> Outcome:
        if self._ending is None:
            # Not by `stop`: the process itself is ending.
            return INTERRUPTED
        if self._task is not None:
            self._task.uncancel()
        return self._ending

    # --- following

    async def follow(
        self, position: Position, final: "Final", outlet: Outlet | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield, encoded, all that lies after `position`, each time what there is or a portion of it.

        The first batch is the `session` event; where nothing else is due for a while, a ping. Where the
        position is lost, or the content turns out to be reasoning, that event says so, and all follows from
        the start. What could leave by `outlet` while the next batch was waited for is not yielded.
        """
        loop = self._loop
        reset = position.is_lost(self._position(*map(len, self.texts())))
        if reset:
            position = events.START
        position = self._position(position.reasoning, position.content)
        reader = Reader(loop.time(), position, outlet)
        if position.chars or self.start.chars:
            reader.taken = BEHIND  # else from the first piece on, in the order of arrival
        self._readers.append(reader)
        try:
            yield self.opening.encode(position, reset=reset)
            while True:
                if reader.reset:
                    reader.reset = False
                    yield self.opening.encode(self._position(0, 0), reset=True)
                elif reader.taken < len(self.pieces):
                    if batch := self._take(reader):
                        yield batch
                        reader.sent_at = loop.time()
                elif self.outcome is not None:
                    at = self._position(reader.reasoning, reader.content)
                    yield events.Last(final(self, self.outcome, at))
                    return
                else:
                    reader.future = loop.create_future()
                    await reader.future
                    if reader.taken == len(self.pieces) and self.outcome is None and not reader.reset:
                        yield events.PING
                        reader.sent_at = loop.time()
        finally:
            self._readers.remove(reader)
            if outlet is not None:
                outlet.left_at = self._left_at(reader)

    def _left_at(self, reader: Reader) -> Position:
        """Return what a reader had when it left; where it has not heard of a reset, that is lost."""
        if reader.reset:
            return Position(0, 1, self.resets - 1)
        return self._position(reader.reasoning, reader.content)

    def _position(self, reasoning: int, content: int) -> Position:
        return Position(reasoning, content, self.resets)

    def _take(self, reader: Reader) -> bytes:
        """Encode what a reader has yet to take, or a portion of it; neighbours of one kind share an event."""
        pieces, taken = self.pieces, reader.taken
        if taken == BEHIND:
            parts: Iterable[Piece] = self._tails(reader)
        elif taken == len(pieces) - 1 and not reader.skip and len(pieces[taken][1]) <= PORTION_CHARS:
            reader.taken = taken + 1
            is_reasoning, text = pieces[taken]
            return self._one(reader, is_reasoning, text)
        else:
            parts = self._portion(reader)
        runs = _joined(groupby(parts, key=itemgetter(0)))
        return b"".join([self._one(reader, is_reasoning, text) for is_reasoning, text in runs])

    def _portion(self, reader: Reader) -> Iterator[Piece]:
        pieces = self.pieces
        left = PORTION_CHARS
        while left > 0 and reader.taken < len(pieces):
            is_reasoning, text = pieces[reader.taken]
            part = text[reader.skip : reader.skip + left]
            left -= len(part) + PIECE_CHARS
            reader.skip += len(part)
            if reader.skip == len(text):
                reader.taken, reader.skip = reader.taken + 1, 0
            yield is_reasoning, part

    def _tails(self, reader: Reader) -> list[Piece]:
        """Return a portion of what lies after a reader's position, first of the reasoning."""
        reasoning, content = self.texts()
        thought = reasoning[reader.reasoning : reader.reasoning + PORTION_CHARS]
        said = content[reader.content : reader.content + PORTION_CHARS - len(thought)]
        if reader.reasoning + reader.content + len(thought) + len(said) == self.chars:
            reader.taken, reader.skip = len(self.pieces), 0
        return [part for part in ((True, thought), (False, said)) if part[1]]

    def _one(self, reader: Reader, is_reasoning: bool, text: str) -> bytes:
        if is_reasoning:
            reader.reasoning += len(text)
        else:
            reader.content += len(text)
        return self._forms[is_reasoning] % (reader.reasoning, reader.content, orjson.dumps(text))


def _joined(runs: Iterable[tuple[bool, Iterable[Piece]]]) -> list[Piece]:
    return [(is_reasoning, "".join([text for _, text in run])) for is_reasoning, run in runs]


Save = Callable[[RunningAnswer, Outcome], Awaitable[bool]]
Final = Callable[[RunningAnswer, Outcome, Position], bytes]

running: dict[UUID, RunningAnswer] = {}
