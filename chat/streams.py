"""An answer as a stream of events, wherever it is: running here, running elsewhere, or ended."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models.functions import Substr

from chat import answers, events, faults, services
from chat.answers import Outcome, RunningAnswer
from chat.events import Position
from chat.models import Message
from chatproject.db import in_db

# How often a reader asks for the text of an answer that another process runs.
POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """What lies after a position in a stored message, and how it ended, if it has."""

    opening: answers.Opening
    reasoning: str
    content: str
    end: tuple[str, dict[str, Any]] | None


def read(message_id: UUID, position: Position) -> Row | None:
    """Return what a message has after `position`; only that leaves the database."""
    message = (
        Message.objects.filter(pk=message_id)
        .select_related("session")
        .defer("content", "reasoning")
        .annotate(
            content_tail=Substr("content", position.content + 1),
            reasoning_tail=Substr("reasoning", position.reasoning + 1),
        )
        .first()
    )
    if message is None:
        return None
    end = None
    if message.status != Message.Status.STREAMING:
        outcome = Outcome(
            message.status, message.finish_reason, message.error_code, message.retry_after, message.retryable
        )
        end = end_data(message.id, outcome, usage=message.usage, response_time=message.response_time)
    opening = services.opening_of(message, message.session)
    return Row(opening, message.reasoning_tail, message.content_tail, end)


def end_data(
    message_id: UUID,
    outcome: Outcome,
    *,
    usage: dict[str, Any] | None,
    response_time: int | None,
) -> tuple[str, dict[str, Any]]:
    """Return the name and the data of the one event that ends a stream."""
    if outcome.status in ("complete", "stopped"):
        return "done", {
            "messageId": str(message_id),
            "finishReason": outcome.finish_reason or None,
            "usage": usage,
            "responseTime": response_time,
            "status": outcome.status,
        }
    data = error_data(outcome.error_code, outcome.retry_after, outcome.retryable)
    return "error", {"messageId": str(message_id), **data}


def error_data(code: str, retry_after: float | None = None, retryable: bool | None = None) -> dict[str, Any]:
    fault = faults.fault(code, retryable)
    data: dict[str, Any] = {"error": str(fault.text), "code": code, "retryable": fault.retryable}
    if retry_after is not None:
        data["retryAfter"] = retry_after
    return data


def follow(answer: RunningAnswer, position: Position) -> AsyncGenerator[bytes, None]:
    """Follow an answer that runs in this process, in the language of the one who asks."""
    return answer.follow(position, _final)


def _final(answer: RunningAnswer, outcome: Outcome, position: Position) -> bytes:
    usage = services.usage_data(answer.usage) if answer.usage else None
    name, data = end_data(
        answer.id, outcome, usage=usage, response_time=answer.milliseconds_to(answer.ended_at)
    )
    return events.encode(name, answer.id, position, data)


async def follow_stored(message_id: UUID, position: Position) -> AsyncGenerator[bytes, None]:
    """Yield what a stored message has after `position`, to its end, asking for it again while it grows."""
    loop = asyncio.get_running_loop()
    sent_at = loop.time()
    opened = False
    while True:
        if (answer := answers.running.get(message_id)) is not None:
            # It runs here after all: it was continued, or began while we looked.
            async with aclosing(follow(answer, position)) as batches:
                async for batch in batches:
                    yield batch
            return
        try:
            row = await in_db(read, message_id, position)
        except (OperationalError, InterfaceError):
            # The database is away; whoever waits should know that we are not.
            if loop.time() - sent_at >= answers.PING_SECONDS:
                sent_at = loop.time()
                yield events.PING
            await asyncio.sleep(POLL_SECONDS * 5)
            continue
        if row is None:
            name, data = "error", {"messageId": str(message_id), **error_data(faults.DELETED)}
            yield events.encode(name, message_id, position, data)
            return
        batch = b"" if opened else row.opening.encode(position)
        opened = True
        if row.reasoning:
            position = Position(position.reasoning + len(row.reasoning), position.content)
            batch += events.encode("reasoning", message_id, position, {"content": row.reasoning})
        if row.content:
            position = Position(position.reasoning, position.content + len(row.content))
            batch += events.encode("message", message_id, position, {"content": row.content})
        if row.end is not None:
            name, data = row.end
            yield batch + events.encode(name, message_id, position, data)
            return
        if not batch and loop.time() - sent_at >= answers.PING_SECONDS:
            batch = events.PING
        if batch:
            yield batch
            sent_at = loop.time()
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
