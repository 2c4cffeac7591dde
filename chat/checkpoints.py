"""What keeps running answers: the lease, their texts so far, and hearing who should stop."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from chat import leases
from chat.answers import Outcome, RunningAnswer, running
from chat.models import Message
from chatproject.db import in_db

logger = logging.getLogger(__name__)

STREAMING = Message.Status.STREAMING.value
STOPPED = Outcome("stopped", finish_reason="stopped")


@dataclass(frozen=True, slots=True)
class Snapshot:
    message_id: UUID
    reasoning: str
    content: str


async def keep_lease() -> None:
    """Renew the lease, and stop what is to be stopped; it never waits for the writing of texts."""
    answers = list(running.values())
    if answers:
        wanted = await in_db(_renew, [answer.id for answer in answers])
        stop_all(answer for answer in answers if answer.id not in wanted)


async def keep_texts() -> None:
    """Store what has grown, in one transaction for all running answers, however many there are."""
    grown = [answer for answer in running.values() if answer.chars > answer.kept_chars]
    if grown:
        counts = [answer.chars for answer in grown]
        await in_db(_store, [Snapshot(answer.id, *answer.texts()) for answer in grown])
        for answer, count in zip(grown, counts, strict=True):
            answer.kept_chars = count


def stop_all(answers: Iterable[RunningAnswer], outcome: Outcome = STOPPED) -> None:
    for answer in answers:
        answer.stop(outcome)


def _renew(ids: list[UUID]) -> set[UUID]:
    """Return the ids of the answers that should go on: still there, and not asked to stop."""
    leases.renew()
    rows = Message.objects.filter(id__in=ids, worker_id=leases.worker_id, stop_requested=False)
    # Who may not sign in any more may not go on reading either.
    rows = rows.filter(session__user__is_active=True)
    return set(rows.values_list("id", flat=True))


def _store(snapshots: list[Snapshot]) -> None:
    # In the order of their ids, as everything that locks several messages does. An answer may have ended
    # since it was looked at: then what is stored is the whole of it.
    rows = [
        (shot.reasoning, shot.content, _db_id(shot.message_id), _db_id(leases.worker_id), STREAMING)
        for shot in sorted(snapshots, key=lambda shot: shot.message_id)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE chat_message SET reasoning = %s, content = %s"
            " WHERE id = %s AND worker_id = %s AND status = %s",
            rows,
        )


def _db_id(value: UUID) -> UUID | str:
    return value if connection.features.has_native_uuid_field else value.hex
