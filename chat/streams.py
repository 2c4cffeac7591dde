"""An answer as a stream of events, wherever it is: running here, running elsewhere, or ended."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models.functions import Length, Substr

from chat import answers, endings, events, faults, services
from chat.answers import Outcome, Outlet, RunningAnswer
from chat.events import Position
from chat.faults import error_data
from chat.models import Message
from chatproject.db import in_db

# How often a reader asks for the text of an answer that another process runs.
POLL_SECONDS = 0.3

# Set when this process is about to end: nobody may stay for the answer of another one.
leaving = False


@dataclass(frozen=True, slots=True)
class Row:
    """What lies after a position in a stored message, and how it ended, if it has.

    With `reset` it is all of the message: the position is lost.
    """

    opening: answers.Opening
    reasoning: str
    content: str
    end: tuple[str, dict[str, Any]] | None
    resets: int = 0
    reset: bool = False


def read(message_id: UUID, position: Position) -> Row | None:
    """Return what a message has after `position`; only that leaves the database."""
    message = (
        Message.objects.filter(pk=message_id)
        .select_related("session")
        .defer("content", "reasoning")
        .annotate(
            content_tail=Substr("content", position.content + 1),
            reasoning_tail=Substr("reasoning", position.reasoning + 1),
            content_chars=Length("content"),
            reasoning_chars=Length("reasoning"),
        )
        .first()
    )
    if message is None:
        return None
    end = None
    opening = services.opening_of(message, message.session)
    running = message.status == Message.Status.STREAMING
    at = Position(message.reasoning_chars, message.content_chars, message.resets)
    # What is stored of a running answer lags behind what its readers have; of one that has ended, only
    # where a crash has cost some of it.
    if position.is_lost(at) and not (running and position.resets == at.resets):
        if running and position.resets > at.resets:
            return Row(opening, "", "", None, position.resets)
        whole = read(message_id, events.START)
        return whole and replace(whole, reset=True)
    if not running:
        outcome = Outcome(
            message.status,
            message.finish_reason,
            message.error_code,
            message.retry_after,
            message.retryable,
            message.error_detail,
        )
        end = end_data(
            message.id,
            outcome,
            usage=message.usage,
            response_time=message.response_time,
            notice=message.notice,
            served_model=message.served_model,
        )
    return Row(opening, message.reasoning_tail, message.content_tail, end, message.resets)


def end_data(
    message_id: UUID,
    outcome: Outcome,
    *,
    usage: dict[str, Any] | None,
    response_time: int | None,
    notice: str = "",
    served_model: str = "",
) -> tuple[str, dict[str, Any]]:
    """Return the name and the data of the one event that ends a stream."""
    if outcome.status in ("complete", "stopped"):
        data: dict[str, Any] = {
            "messageId": str(message_id),
            "finishReason": outcome.finish_reason or None,
            "usage": usage,
            "responseTime": response_time,
            "status": outcome.status,
        }
        if notice:
            data["notice"] = notice
        if served_model:
            data["servedModel"] = served_model
        return "done", data
    data = error_data(outcome.error_code, outcome.retry_after, outcome.retryable, outcome.detail)
    return "error", {"messageId": str(message_id), **data}


def follow(
    answer: RunningAnswer, position: Position, outlet: Outlet | None = None
) -> AsyncGenerator[bytes, None]:
    """Follow an answer that runs in this process, in the language of the one who asks."""
    return answer.follow(position, _final, outlet)


def _final(answer: RunningAnswer, outcome: Outcome, position: Position) -> bytes:
    usage = endings.usage_data(answer.usage) if answer.usage else None
    name, data = end_data(
        answer.id,
        outcome,
        usage=usage,
        response_time=answer.milliseconds_to(answer.ended_at),
        notice=answer.notice,
        served_model=answer.served_model,
    )
    return events.encode(name, answer.id, position, data, ended=True)


async def follow_stored(message_id: UUID, position: Position) -> AsyncGenerator[bytes, None]:
    """Yield what a message has after `position`, to its end, wherever it is written."""
    loop = asyncio.get_running_loop()
    sent_at = loop.time()
    async with aclosing(_stored(message_id, position)) as steps:
        async for batch, at in steps:
            if not batch and leaving:
                # This ends the connection and not the answer: a resume from the event's id goes on.
                data = {"messageId": str(message_id), **error_data(faults.SHUTTING_DOWN)}
                yield events.Last(events.encode("error", message_id, at, data))
                return
            if not batch and loop.time() - sent_at >= answers.PING_SECONDS:
                batch = events.PING
            if batch:
                yield batch
                sent_at = loop.time()


async def _stored(message_id: UUID, position: Position) -> AsyncGenerator[tuple[bytes, Position], None]:
    """Ask for a message again while it grows; yield nothing now and then, whatever the database does."""
    opened = False
    while True:
        if (answer := answers.running.get(message_id)) is not None:
            # It runs here after all: it was continued, or began while we looked.
            told = answer.opening.encode(position) if opened else b""
            async with aclosing(follow(answer, position)) as batches:
                async for batch in batches:
                    if not opened or batch != told:
                        yield batch, position
            return
        asked = asyncio.ensure_future(in_db(read, message_id, position))
        # Should the reader be gone by then, nobody else takes note of it.
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            while not (await asyncio.wait({asked}, timeout=POLL_SECONDS))[0]:
                yield b"", position
            row = asked.result()
        except (OperationalError, InterfaceError):
            yield b"", position
            await asyncio.sleep(POLL_SECONDS * 5)
            continue
        finally:
            asked.cancel()
        if row is None:
            data = {"messageId": str(message_id), **error_data(faults.DELETED)}
            yield events.Last(events.encode("error", message_id, position, data, ended=True)), position
            return
        position = events.START if row.reset else position
        position = position._replace(resets=row.resets)
        batch = b"" if opened and not row.reset else row.opening.encode(position, reset=row.reset)
        opened = True
        if row.reasoning:
            position = position._replace(reasoning=position.reasoning + len(row.reasoning))
            batch += events.encode("reasoning", message_id, position, {"content": row.reasoning})
        if row.content:
            position = position._replace(content=position.content + len(row.content))
            batch += events.encode("message", message_id, position, {"content": row.content})
        if row.end is not None:
            name, data = row.end
            yield events.Last(batch + events.encode(name, message_id, position, data, ended=True)), position
            return
        yield batch, position
        await asyncio.sleep(POLL_SECONDS)


async def until_ended(message_id: UUID, seconds: float) -> None:
    """Wait until a message is no longer running, wherever it runs, but no longer than `seconds`."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    while loop.time() < give_up:
        if (answer := answers.running.get(message_id)) is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(answer.ended.wait(), give_up - loop.time())
            return
        if not await in_db(Message.objects.running().filter(pk=message_id).exists):
            return
        await asyncio.sleep(0.1)
