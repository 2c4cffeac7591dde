"""Whether a request may start an answer: who asks, how often, and whether it has been asked before."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from chat import leases, refusals, statements, storage
from chat.events import START, Position
from chat.models import ChatSession, IdempotencyKey
from chatproject.limits import Counting
from chatproject.prepared import Select, Sql

# How long an `Idempotency-Key` is remembered.
KEY_LIFETIME = timedelta(days=2)

# A statement, and what it is given.
Asking = tuple[Select[Any] | Sql, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for an answer, and what would make another request the same one.

    `limit` raises where the user may not start another answer now; it is only
    called for a request that is new. `counting` does the same where it is there.
    """

    user: Any
    limit: Callable[[], None]
    key: str = ""
    fingerprint: str = ""
    counting: Counting | None = None
    # Tells of the user's row, as it is when it has been locked, whether they may still come in.
    admits: Callable[[Any], bool] = lambda user: True


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer that an earlier request with the same `Idempotency-Key` has started."""

    message_id: UUID
    start: Position


def fingerprint(action: str, body: Any) -> str:
    """Return what tells whether two requests ask for the same, whatever the order of their keys."""
    return hashlib.sha256(json.dumps([action, body], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """What was read once a user was locked, and with them the session they named, if it is theirs."""

    user: Any
    session: ChatSession | None
    known: IdempotencyKey | None
    count: int  # of what `Asked.counting` counts
    everywhere: int  # the number of the user's running answers
    here: int  # the number of those in this session
    stored: int  # the characters that the user has stored; 0 where they are not limited
    more: list[list[Any]]


def look(asked: Asked, *more: Asking, session_id: UUID | None = None) -> Found:
    """Lock a user, and a session of theirs, and read what tells whether they may start an answer, and `more`.

    All of it is one message to the database. The lock comes first: the rest stays true until it is gone,
    for nobody begins another of this user's answers before.
    """
    user = asked.user.pk
    asking: list[Asking] = [(statements.OWN_USER, (user,))]
    if session_id is not None:
        asking.append((statements.OWN_SESSION, (user, session_id)))
    if asked.key:
        asking.append((statements.KNOWN_KEY, (user, asked.key)))
    if asked.counting is not None:
        asking.append((asked.counting.statement, asked.counting.values))
    asking.append((statements.BUSY, (user, session_id)))
    if storage.is_limited():
        asking.append((storage.STORED, (user,)))
    asking += more
    together = statements.together(*(statement for statement, _ in asking))
    results = iter(together.found(*(values for _, values in asking)))
    users = next(results)
    if not users:
        raise NotAuthenticated  # deleted since the request was let in
    if not asked.admits(users[0]):
        raise AuthenticationFailed
    sessions = next(results) if session_id is not None else []
    known = next(results) if asked.key else []
    counted = next(results) if asked.counting is not None else [(0,)]
    busy = next(results)
    everywhere, here = busy[0] if busy else (0, 0)
    stored = next(results) if storage.is_limited() else []
    return Found(
        users[0],
        sessions[0] if sessions else None,
        known[0] if known else None,
        counted[0][0],
        everywhere,
        here,
        int(stored[0][0]) if stored else 0,
        list(results),
    )


def admit(asked: Asked, found: Found) -> Replay | None:
    """Decide whether this request may start an answer, or has started one before."""
    if replay := _replay(asked, found.known):
        transaction.set_rollback(True)  # it is not counted again
        return replay
    if asked.counting is not None:
        asked.counting.check(found.count)
    else:
        asked.limit()
    if found.everywhere >= settings.CHAT_MAX_RUNNING:
        leases.interrupt_abandoned()
        if _running(asked.user) >= settings.CHAT_MAX_RUNNING:
            raise refusals.TooManyRunning
    storage.check(found.stored)
    return None


def _replay(asked: Asked, known: IdempotencyKey | None) -> Replay | None:
    if known is None:
        return None
    if known.fingerprint != asked.fingerprint:
        raise refusals.IdempotencyConflict
    return Replay(known.message_id, Position(known.start_reasoning, known.start_content))


def _running(user: Any) -> int:
    rows = statements.BUSY.rows(user.pk, None)
    return int(rows[0][0]) if rows else 0


def claim(asked: Asked, message_id: UUID, start: Position = START) -> None:
    if asked.key:
        statements.CLAIM.run(
            asked.user.pk,
            asked.key,
            asked.fingerprint,
            message_id,
            start.reasoning,
            start.content,
            timezone.now(),
        )


def purge_idempotency_keys() -> None:
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEY_LIFETIME).delete()
