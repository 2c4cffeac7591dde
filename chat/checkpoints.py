"""What keeps running answers: the lease, their texts so far, and hearing who should stop."""

import logging
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from chat import leases
from chat.answers import INTERRUPTED, STOPPED, Outcome, running
from chat.models import Message
from chatproject.db import in_db

logger = logging.getLogger(__name__)

STREAMING = Message.Status.STREAMING.value


@dataclass(frozen=True, slots=True)
class Snapshot:
    message_id: UUID
    reasoning: str
    content: str


async def keep_lease() -> None:
    """Renew the lease, and stop what is to be stopped; it never waits for the writing of texts."""
    answers = list(running.values())
    if answers:
        ends = await in_db(_renew, [answer.id for answer in answers])
        for answer in answers:
            if end := ends.get(answer.id):
                answer.stop(end)


async def keep_texts() -> None:
    """Store what has grown, in one transaction for all running answers, however many there are."""
    grown = [answer for answer in running.values() if answer.chars > answer.kept_chars]
    if grown:
        counts = [answer.chars for answer in grown]
        await in_db(_store, [Snapshot(answer.id, *answer.texts()) for answer in grown])
        for answer, count in zip(grown, counts, strict=True):
            answer.kept_chars = count


def _renew(ids: list[UUID]) -> dict[UUID, Outcome]:
    """Return which of these answers must not go on, and how each of them is to end."""
    leases.renew()
    rows = Message.objects.filter(id__in=ids, worker_id=leases.worker_id)
    ends = dict.fromkeys(ids, STOPPED)  # what is deleted, or another process's by now, is not among the rows
    for message_id, status, stop_requested, may_sign_in in rows.values_list(
        "id", "status", "stop_requested", "session__user__is_active"
    ):
        if status == Message.Status.INTERRUPTED:
            # This process was silent for so long, frozen perhaps, that another gave it up. Its conversation
            # may have gone on since, so this must not.
            ends[message_id] = INTERRUPTED
        elif may_sign_in and not stop_requested:
            del ends[message_id]
    return ends


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
