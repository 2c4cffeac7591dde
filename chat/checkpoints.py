"""What keeps running answers: the lease, their texts so far, and hearing who should stop."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import orjson
from django.db import connection, transaction

from chat import leases
from chat.answers import INTERRUPTED, STOPPED, Outcome, running
from chat.events import Position
from chat.models import Message
from chatproject.db import in_db
from chatproject.prepared import Select, Sql

STREAMING = Message.Status.STREAMING.value

_OWN = Select(
    lambda worker: (
        Message.objects.running()
        .filter(worker_id=worker)
        .order_by()
        .values_list("id", "stop_requested", "session__user__is_active")
    )
)

# Only where nothing but what we know of is stored: a commit may have succeeded although we were told it had
# not. All in one statement; the rows are locked in the order of their ids, as everything does that locks
# several messages.
_APPEND = Sql(
    lambda growths, worker: (
        "WITH growth AS (SELECT * FROM json_to_recordset(%s::json) AS growth"
        "(id uuid, reasoning text, content text, reasoning_chars int, content_chars int)),"
        " locked AS (SELECT id FROM chat_message WHERE id IN (SELECT id FROM growth)"
        " AND worker_id = %s AND status = %s ORDER BY id FOR NO KEY UPDATE)"
        " UPDATE chat_message AS message"
        " SET reasoning = message.reasoning || growth.reasoning, content = message.content || growth.content"
        " FROM growth, locked WHERE message.id = locked.id AND message.id = growth.id"
        " AND length(message.reasoning) = growth.reasoning_chars"
        " AND length(message.content) = growth.content_chars"
        " RETURNING message.id",
        [growths, worker, STREAMING],
    )
)


@dataclass(frozen=True, slots=True)
class Growth:
    """The text of an answer, and how much of it is stored already, in characters."""

    message_id: UUID
    reasoning: str
    content: str
    kept: Position

    resets: int = 0

    @property
    def end(self) -> Position:
        return Position(len(self.reasoning), len(self.content), self.resets)

    @property
    def appends(self) -> bool:
        """Whether what is stored is the beginning of the text; after a reset it is another text."""
        return self.kept.resets == self.resets

    @property
    def tails(self) -> tuple[str, str]:
        return self.reasoning[self.kept.reasoning :], self.content[self.kept.content :]


async def keep_lease() -> None:
    """Keep the lease fresh, and stop what is to be stopped; it never waits for the writing of texts."""
    answers = list(running.values())
    if answers:
        ends = await in_db(_heard, [answer.id for answer in answers])
        for answer in answers:
            if end := ends.get(answer.id):
                answer.stop(end)


async def keep_texts(seconds: float) -> None:
    """Store what has grown of the answers that were last kept so long ago, in one transaction for all.

    They began at different times, so there are few of them at a time: while the database writes many, the
    others would have to wait.
    """
    now = asyncio.get_running_loop().time()
    due = [answer for answer in running.values() if now - answer.kept_at >= seconds]
    for answer in due:
        answer.kept_at = now
    grown = [
        answer for answer in due if answer.chars > answer.kept.chars or answer.resets != answer.kept.resets
    ]
    if grown:
        growths = [Growth(answer.id, *answer.texts(), answer.kept, answer.resets) for answer in grown]
        await in_db(_store, growths)
        for answer, growth in zip(grown, growths, strict=True):
            answer.kept = growth.end


def _heard(ids: list[UUID]) -> dict[UUID, Outcome]:
    """Renew the lease; return which of these answers must not go on, and how each of them is to end."""
    leases.keep(leases.BEAT_SECONDS)
    ends = dict.fromkeys(ids, STOPPED)  # what is deleted, or another process's by now, is not among the rows
    for message_id, stop_requested, may_sign_in in _OWN.rows(leases.worker_id):
        if may_sign_in and not stop_requested:
            ends.pop(message_id, None)
    if ends:
        # This process was silent for so long, frozen perhaps, that another gave them up. Their conversations
        # may have gone on since, so these must not.
        given_up = Message.objects.filter(
            id__in=list(ends), worker_id=leases.worker_id, status=Message.Status.INTERRUPTED
        )
        ends.update(dict.fromkeys(given_up.values_list("id", flat=True), INTERRUPTED))
    return ends


def _store(growths: list[Growth]) -> None:
    """Append what each answer has more than is stored; where something else is stored, store all of it.

    An answer may have ended since it was looked at: then what is stored is the whole of it, and stays.
    """
    growths = sorted(growths, key=lambda growth: growth.message_id)
    with transaction.atomic():
        appended = _appended([growth for growth in growths if growth.appends])
        for growth in growths:
            if growth.message_id not in appended:
                Message.objects.running().filter(pk=growth.message_id, worker_id=leases.worker_id).update(
                    reasoning=growth.reasoning, content=growth.content, resets=growth.resets
                )


def _appended(growths: list[Growth]) -> set[UUID]:
    """Append to what is stored, and return the ids of those where that was as expected."""
    if growths and connection.vendor == "postgresql":
        rows = [
            dict(zip(_COLUMNS, (growth.message_id, *growth.tails, *growth.kept[:2]), strict=True))
            for growth in growths
        ]
        return {row[0] for row in _APPEND.rows(orjson.dumps(rows).decode(), leases.worker_id)}
    return {growth.message_id for growth in growths if _append_one(growth)}


_COLUMNS = ("id", "reasoning", "content", "reasoning_chars", "content_chars")


def _append_one(growth: Growth) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_message SET reasoning = reasoning || %s, content = content || %s"
            " WHERE id = %s AND worker_id = %s AND status = %s"
            " AND length(reasoning) = %s AND length(content) = %s",
            [*growth.tails, growth.message_id.hex, leases.worker_id.hex, STREAMING, *growth.kept[:2]],
        )
        return bool(cursor.rowcount)
