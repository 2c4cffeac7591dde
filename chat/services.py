"""Everything that starts answers. Synchronous, atomic, and always from the user.

A turn is opened by one of `open_turn`, `open_regeneration`, `open_edit` and
`open_continuation`, each one transaction: it locks the user's row, so that the
same person's requests are decided one after the other, whatever the process.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated

from chat import branches, leases, refusals
from chat.answers import Opening, running
from chat.events import START, Position
from chat.ids import uuid7
from chat.models import ChatSession, IdempotencyKey, Message, Mode
from chatproject import prepared
from chatproject.prepared import Select, Update
from providers.base import ChatMessage, ChatRequest
from providers.entries import context_window, output_limit
from providers.registry import ProviderAccess
from providers.resolve import resolve

TITLE_CHARS = 50
NEW_CHAT = "新对话"  # a seed text: stored as it is, whatever the language
NORMAL_MODE = "normal"

# What is sent after a cut answer, so that the model goes on instead of answering anew.
CONTINUE_PROMPT = (
    "Your last message broke off before its end. Continue it from exactly where it stopped: "
    "do not repeat anything, do not apologise, do not start over."
)

# How long an `Idempotency-Key` is remembered.
KEY_LIFETIME = timedelta(days=2)

Status = Message.Status
CONTINUABLE = {Status.STOPPED, Status.INTERRUPTED, Status.FAILED}
NOT_SENT = (Status.FAILED, Status.STREAMING)

# --- the statements that every answer takes -------------------------------------------------------

_LOCK_USER = Select(
    lambda user: get_user_model().objects.select_for_update(no_key=True).filter(pk=user).values_list("pk")
)
_KNOWN_KEY = Select(lambda user, key: IdempotencyKey.objects.filter(user_id=user, key=key))
_BUSY_SESSIONS = Select(
    lambda user: Message.objects.running().filter(session__user_id=user).values_list("session_id")
)
_OWN_SESSION = Select(
    lambda user, session: ChatSession.objects.select_for_update(no_key=True).filter(user_id=user, pk=session)
)
_ENABLED_MODE = Select(lambda mode: Mode.objects.filter(pk=mode, enabled=True))
_TOUCH = Update(
    lambda session, title, provider, model, mode, updated_at: (
        ChatSession.objects.filter(pk=session),
        {"title": title, "provider": provider, "model": model, "mode": mode, "updated_at": updated_at},
    )
)


@cache
def _newest(limit: int) -> "Select[Message]":
    """The latest messages of a session's chosen branch, newest first."""
    return Select(
        lambda session: (
            Message.objects.filter(session_id=session)
            .chosen()
            .order_by("-id")
            .values_list("id", "role", "status", "content")[:limit]
        )
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for an answer, and what would make another request the same one.

    `limit` raises where the user may not start another answer now; it is only
    called for a request that is new.
    """

    user: Any
    limit: Callable[[], None]
    key: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer about to be asked for, with all that it needs; `reasoning` and `content` it already has."""

    opening: Opening
    request: ChatRequest
    access: ProviderAccess
    reasoning: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer that an earlier request with the same `Idempotency-Key` has started."""

    message_id: UUID
    start: Position


def fingerprint(action: str, body: Any) -> str:
    """Return what tells whether two requests ask for the same, whatever the order of their keys."""
    return hashlib.sha256(json.dumps([action, body], sort_keys=True).encode()).hexdigest()


# --- opening a turn -------------------------------------------------------------------------------


def open_turn(
    asked: Asked, *, message: str, provider: str, model: str, mode: str, session_id: UUID | None
) -> Turn | Replay:
    """Save the user's message and the pending answer, and gather what the answer needs.

    Raises an `ApiError` for everything that can be refused; nothing is stored then.
    """
    with transaction.atomic():
        busy = _admit(asked)
        if isinstance(busy, Replay):
            return busy
        access = resolve(asked.user, provider)
        chosen_mode = get_mode(mode)
        if session_id is None:
            session = ChatSession(user=asked.user, title=title_of(message), mode=mode)
            last: UUID | None = None
            history: list[ChatMessage] = []
        else:
            session = _own_session(asked.user, session_id)
            _refuse_second_answer(session, busy)
            last, history = _end_of_branch(session, limit=settings.CHAT_HISTORY_LIMIT - 1)
        question = _question(session, after=last, parent=last, message=message)
        if last is None and session.title == NEW_CHAT:
            session.title = title_of(message)
        session.provider, session.model, session.mode = provider, model, mode
        _touch(session)
        answer = _pending_answer(asked, session, question)
        return _turn(session, answer, access, chosen_mode, [*history, ChatMessage("user", message)])


def open_regeneration(
    asked: Asked, *, session_id: UUID, message_id: UUID | None, provider: str, model: str
) -> Turn | Replay:
    """Open a second answer to a user message (the last one by default), beside those it has."""
    with transaction.atomic():
        busy = _admit(asked)
        if isinstance(busy, Replay):
            return busy
        session = _own_session(asked.user, session_id)
        _refuse_second_answer(session, busy)
        question = _question_of(session, message_id)
        provider, model = provider or session.provider, model or session.model
        access = resolve(asked.user, provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, question.id)
        history = _history(session, limit=settings.CHAT_HISTORY_LIMIT)
        session.provider, session.model = provider, model
        _touch(session)
        answer = _pending_answer(asked, session, question)
        return _turn(session, answer, access, chosen_mode, history)


def open_edit(asked: Asked, *, message_id: UUID, message: str) -> Turn | Replay:
    """Open a new branch: another wording of a user message, and the answer to it."""
    with transaction.atomic():
        busy = _admit(asked)
        if isinstance(busy, Replay):
            return busy
        old = _own_message(asked.user, message_id)
        if old.role != Message.Role.USER:
            raise refusals.NotAUserMessage
        session = old.session
        _refuse_second_answer(session, busy)
        access = resolve(asked.user, session.provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, old.parent_id)
        history = _history(session, limit=settings.CHAT_HISTORY_LIMIT - 1)
        question = _question(session, after=old.id, parent=old.parent_id, message=message)
        _touch(session)
        answer = _pending_answer(asked, session, question)
        return _turn(session, answer, access, chosen_mode, [*history, ChatMessage("user", message)])


def open_continuation(asked: Asked, *, message_id: UUID) -> Turn | Replay:
    """Reopen a cut answer, which then grows from where it ended."""
    with transaction.atomic():
        busy = _admit(asked)
        if isinstance(busy, Replay):
            return busy
        answer = _own_message(asked.user, message_id)
        start = Position(len(answer.reasoning), len(answer.content))
        session = answer.session
        _refuse_second_answer(session, busy)
        cut = answer.status in CONTINUABLE or answer.finish_reason == "length"
        if answer.role != Message.Role.ASSISTANT or not cut or answer.children.exists():
            raise refusals.NotContinuable
        if answer.id in running:
            # Taken for abandoned by another process, but it goes on here: two must not write one message.
            raise refusals.AnswerInProgress
        access = resolve(asked.user, answer.provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, answer.id)
        # What the model is sent of the answer itself: the part it has written, and what to do with it.
        own = [ChatMessage("assistant", answer.content), ChatMessage("user", CONTINUE_PROMPT)]
        own = own if answer.content else []
        history = _history(session, limit=settings.CHAT_HISTORY_LIMIT - len(own), before=answer.id)
        _claim(asked, answer.id, start)
        _touch(session)
        leases.keep()
        Message.objects.filter(pk=answer.pk).update(
            status=Status.STREAMING,
            worker_id=leases.worker_id,
            stop_requested=False,
            finish_reason="",
            error_code="",
            retry_after=None,
            retryable=None,
        )
        reasoning, content = answer.reasoning, answer.content
        sent = [*history, *own]
        return _turn(session, answer, access, chosen_mode, sent, reasoning=reasoning, content=content)


def _admit(asked: Asked) -> Replay | set[UUID]:
    """Decide, with the user's row locked, whether this request may start an answer.

    Returns the user's sessions that are being answered: nobody begins another one until the lock is gone.
    """
    if not _LOCK_USER.rows(asked.user.pk):
        raise NotAuthenticated  # deleted since the request was let in
    if asked.key:
        known = _KNOWN_KEY.first(asked.user.pk, asked.key)
        if known is not None:
            if known.fingerprint != asked.fingerprint:
                raise refusals.IdempotencyConflict
            return Replay(known.message_id, Position(known.start_reasoning, known.start_content))
    asked.limit()
    busy = _busy_sessions(asked.user)
    if len(busy) >= settings.CHAT_MAX_RUNNING:
        leases.interrupt_abandoned()
        busy = _busy_sessions(asked.user)
        if len(busy) >= settings.CHAT_MAX_RUNNING:
            raise refusals.TooManyRunning
    return busy


def _busy_sessions(user: Any) -> set[UUID]:
    return {session_id for (session_id,) in _BUSY_SESSIONS.rows(user.pk)}


def _refuse_second_answer(session: ChatSession, busy: set[UUID]) -> None:
    if session.id in busy:
        leases.interrupt_abandoned()
        if session.messages.running().exists():
            raise refusals.AnswerInProgress


def _claim(asked: Asked, message_id: UUID, start: Position = START) -> None:
    if asked.key:
        key = IdempotencyKey(
            user=asked.user,
            key=asked.key,
            fingerprint=asked.fingerprint,
            message_id=message_id,
            start_reasoning=start.reasoning,
            start_content=start.content,
        )
        prepared.insert([key])


def _question(session: ChatSession, *, after: UUID | None, parent: UUID | None, message: str) -> Message:
    return Message(
        id=uuid7(after=after), session=session, parent_id=parent, role=Message.Role.USER, content=message
    )


def _pending_answer(asked: Asked, session: ChatSession, question: Message) -> Message:
    """Save the row that the answer will fill, before the provider is asked; a new question with it."""
    leases.keep()
    answer = Message(
        id=uuid7(after=question.id),
        session=session,
        parent_id=question.id,
        role=Message.Role.ASSISTANT,
        status=Status.STREAMING,
        provider=session.provider,
        model=session.model,
        worker_id=leases.worker_id,
    )
    prepared.insert([question, answer] if question._state.adding else [answer])
    _claim(asked, answer.id)
    return answer


def _turn(
    session: ChatSession,
    answer: Message,
    access: ProviderAccess,
    mode: Mode,
    messages: list[ChatMessage],
    *,
    reasoning: str = "",
    content: str = "",
) -> Turn:
    """Put together what the answer needs. It may ask the database, so it belongs to the transaction."""
    system = [ChatMessage("system", mode.system_prompt)] if mode.system_prompt.strip() else []
    request = ChatRequest(
        model=answer.model,
        messages=(*system, *messages),
        temperature=mode.temperature,
        top_p=mode.top_p,
        max_output_tokens=output_limit(access.spec, answer.model, mode.max_output_tokens),
        reasoning_effort=mode.reasoning_effort or None,
        context_window=context_window(access.spec, answer.model),
    )
    return Turn(opening_of(answer, session), request, access, reasoning, content)


def opening_of(answer: Message, session: ChatSession) -> Opening:
    return Opening(answer.id, session.id, answer.parent_id, session.title)


def _history(session: ChatSession, *, limit: int, before: UUID | None = None) -> list[ChatMessage]:
    """Return the latest messages of the chosen branch, oldest first; failed and empty ones left out."""
    messages = session.messages.chosen().exclude(content="").exclude(status__in=NOT_SENT)
    if before is not None:
        messages = messages.filter(id__lt=before)
    newest_first = messages.order_by("-id").values_list("role", "content")[: max(limit, 0)]
    return [ChatMessage(role, content) for role, content in reversed(newest_first)]  # type: ignore[arg-type]


def _end_of_branch(session: ChatSession, *, limit: int) -> tuple[UUID | None, list[ChatMessage]]:
    """Return the last message's id and the history; nearly always in one statement."""
    read = limit + 5  # room for some that are not sent
    rows = _newest(read).rows(session.id)
    sent = [
        ChatMessage(role, content) for _, role, status, content in rows if content and status not in NOT_SENT
    ]
    if len(sent) < limit and len(rows) == read:
        return rows[0][0], _history(session, limit=limit)
    return (rows[0][0] if rows else None), sent[: max(limit, 0)][::-1]


def _touch(session: ChatSession) -> None:
    """Move the session to the top of the list, with whatever has been changed in it."""
    session.updated_at = timezone.now()
    if session._state.adding:
        prepared.insert([session])
    else:
        _TOUCH.run(
            session.pk, session.title, session.provider, session.model, session.mode, session.updated_at
        )


def _own_session(user: Any, session_id: UUID) -> ChatSession:
    """Return a session of the user's, locked: whoever changes its messages locks it first."""
    session = _OWN_SESSION.first(user.pk, session_id)
    if session is None:
        raise refusals.SessionNotFound
    return session


def _own_message(user: Any, message_id: UUID) -> Message:
    """Return a message of the user's, read after its session was locked: before, it may be stale."""
    found = Message.objects.for_user(user).filter(pk=message_id).values_list("session_id").first()
    if found is None:
        raise refusals.MessageNotFound
    session = _own_session(user, found[0])
    message = session.messages.filter(pk=message_id).first()
    if message is None:
        raise refusals.MessageNotFound
    message.session = session
    return message


def _question_of(session: ChatSession, message_id: UUID | None) -> Message:
    """Return the user message that `message_id` is, or answers; without it the last one asked."""
    messages = session.messages.select_related("parent", "session")
    if message_id is None:
        message = messages.chosen().filter(role=Message.Role.USER).order_by("-id").first()
    else:
        message = messages.filter(pk=message_id).first()
        if message is not None and message.role == Message.Role.ASSISTANT:
            message = message.parent
    if message is None:
        raise refusals.MessageNotFound
    message.session = session
    return message


def get_mode(mode_id: str, *, fallback: bool = False) -> Mode:
    """Return an enabled mode; with `fallback` the normal one in place of one that is gone."""
    mode = _ENABLED_MODE.first(mode_id)
    if mode is None and (fallback or mode_id == NORMAL_MODE):
        # `normal` is always there, even where somebody deleted its row.
        mode = Mode.objects.filter(pk=NORMAL_MODE).first() or Mode(id=NORMAL_MODE, name=NORMAL_MODE)
    if mode is None:
        raise refusals.ModeUnknown
    return mode


def title_of(message: str) -> str:
    title = message[:TITLE_CHARS]
    return title if title.strip() else NEW_CHAT


def purge_idempotency_keys() -> None:
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEY_LIFETIME).delete()
