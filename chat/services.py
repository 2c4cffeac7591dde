"""Everything that starts answers. Synchronous, atomic, and always from the user.

A turn is opened by one of `open_turn`, `open_regeneration`, `open_edit` and
`open_continuation`, each one transaction: it locks the user's row, so that the
same person's requests are decided one after the other, whatever the process.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from chat import branches, leases, refusals, statements
from chat.answers import Opening, running
from chat.endings import usage_of
from chat.events import START, Position
from chat.ids import uuid7
from chat.models import ChatSession, IdempotencyKey, Message, Mode
from chatproject.limits import Counting
from chatproject.prepared import Both, Select, Sql, atomic
from providers.base import ChatMessage, ChatRequest, Usage
from providers.entries import context_window, extra_body, output_limit
from providers.registry import ProviderAccess
from providers.resolve import CONFIGS, chosen, resolve

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
# How many messages more than are sent are read, for those that are not.
SPARE = 5

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
class Turn:
    """An answer about to be asked for, with all that it needs; `reasoning` and `content` it already has."""

    opening: Opening
    request: ChatRequest
    access: ProviderAccess
    reasoning: str = ""
    content: str = ""
    # What was counted for that.
    usage: Usage | None = None


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
    with atomic():
        limit = settings.CHAT_HISTORY_LIMIT - 1
        needed: list[Asking] = [
            (CONFIGS, (asked.user.pk, provider)),
            (statements.ENABLED_MODE, (mode,)),
        ]
        if session_id is not None:
            needed.append((statements.newest(limit + SPARE), (session_id,)))
        found = _look(asked, *needed, session_id=session_id)
        if replay := _admit(asked, found):
            return replay
        configs, modes, *newest = found.more
        access = chosen(provider, configs)
        chosen_mode = _mode_or_normal(modes[0] if modes else None, mode)
        messages = newest[0] if newest else []
        session = found.session
        if session_id is None:
            session = ChatSession(user=asked.user, title=title_of(message))
        elif session is None:
            raise refusals.SessionNotFound
        if found.here:
            _refuse_second_answer(session)
        history = _sent(session, messages, limit=limit)
        last = messages[0][0] if messages else None
        if last is None and session.title == NEW_CHAT:
            session.title = title_of(message)
        session.provider, session.model, session.mode = provider, model, mode
        opening = _opening(session, uuid7(after=last))
        turn = _turn(opening, model, access, chosen_mode, [*history, ChatMessage("user", message)])
        _ask(asked, session, opening, parent=last, message=message)
        return turn


def open_regeneration(
    asked: Asked, *, session_id: UUID, message_id: UUID | None, provider: str, model: str
) -> Turn | Replay:
    """Open a second answer to a user message (the last one by default), beside those it has."""
    with atomic():
        if replay := _admit(asked, _look(asked)):
            return replay
        session = _own_session(asked.user, session_id)
        _refuse_second_answer(session)
        question = _question_of(session, message_id)
        provider, model = provider or session.provider, model or session.model
        access = resolve(asked.user, provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, question.id)
        history = _history(session, limit=settings.CHAT_HISTORY_LIMIT)
        session.provider, session.model = provider, model
        opening = _opening(session, question.id)
        turn = _turn(opening, model, access, chosen_mode, history)
        _begin(statements.ASK_AGAIN, asked, session, opening)
        return turn


def open_edit(asked: Asked, *, message_id: UUID, message: str) -> Turn | Replay:
    """Open a new branch: another wording of a user message, and the answer to it."""
    with atomic():
        if replay := _admit(asked, _look(asked)):
            return replay
        old = _own_message(asked.user, message_id)
        if old.role != Message.Role.USER:
            raise refusals.NotAUserMessage
        session = old.session
        _refuse_second_answer(session)
        access = resolve(asked.user, session.provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, old.parent_id)
        history = _history(session, limit=settings.CHAT_HISTORY_LIMIT - 1)
        opening = _opening(session, uuid7(after=old.id))
        sent = [*history, ChatMessage("user", message)]
        turn = _turn(opening, session.model, access, chosen_mode, sent)
        _ask(asked, session, opening, parent=old.parent_id, message=message)
        return turn


def open_continuation(asked: Asked, *, message_id: UUID) -> Turn | Replay:
    """Reopen a cut answer, which then grows from where it ended."""
    with atomic():
        if replay := _admit(asked, _look(asked)):
            return replay
        answer = _own_message(asked.user, message_id)
        start = Position(len(answer.reasoning), len(answer.content))
        session = answer.session
        _refuse_second_answer(session)
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
        leases.keep()
        statements.TOUCH.run(*_stored(session, timezone.now()))
        Message.objects.filter(pk=answer.pk).update(
            status=Status.STREAMING,
            worker_id=leases.worker_id,
            stop_requested=False,
            finish_reason="",
            error_code="",
            retry_after=None,
            retryable=None,
            error_detail="",
            error_status=None,
        )
        reasoning, content = answer.reasoning, answer.content
        opening, sent = opening_of(answer, session), [*history, *own]
        turn = _turn(opening, answer.model, access, chosen_mode, sent)
        request = replace(turn.request, continues=bool(own))
        usage = usage_of(answer.usage)
        return replace(turn, request=request, reasoning=reasoning, content=content, usage=usage)


@dataclass(frozen=True, slots=True)
class Found:
    """What was read once a user was locked, and with them the session they named, if it is theirs."""

    session: ChatSession | None
    known: IdempotencyKey | None
    count: int  # of what `Asked.counting` counts
    everywhere: int  # so many of the user's answers are running,
    here: int  # so many of them in this session
    more: list[list[Any]]


def _look(asked: Asked, *more: Asking, session_id: UUID | None = None) -> Found:
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
    asking += [(statements.BUSY, (user, session_id)), *more]
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
    return Found(
        sessions[0] if sessions else None,
        known[0] if known else None,
        counted[0][0],
        everywhere,
        here,
        list(results),
    )


def _admit(asked: Asked, found: Found) -> Replay | None:
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


def _refuse_second_answer(session: ChatSession) -> None:
    if session.messages.running().exists():
        leases.interrupt_abandoned()
        if session.messages.running().exists():
            raise refusals.AnswerInProgress


def _opening(session: ChatSession, question: UUID) -> Opening:
    return Opening(uuid7(after=question), session.id, question, session.title)


def _ask(asked: Asked, session: ChatSession, opening: Opening, *, parent: UUID | None, message: str) -> None:
    """Save a question and the row that its answer will fill, before the provider is asked."""
    both = statements.BEGIN if session._state.adding else statements.ASK
    _begin(both, asked, session, opening, parent, message)


def _begin(both: Both, asked: Asked, session: ChatSession, opening: Opening, *asking: Any) -> None:
    """Save the row that an answer will fill, and what belongs to it; this commits the transaction."""
    leases.keep()
    now = timezone.now()
    _claim(asked, opening.message_id)
    asked_of = session.provider, session.model, leases.worker_id
    row = session.id, opening.message_id, opening.user_message_id, *asked_of, now
    both.run(_stored(session, now), (*row, *asking), commits=True)


def _stored(session: ChatSession, now: datetime) -> tuple[Any, ...]:
    """Return what is stored of a session that moves to the top of the list."""
    return session.id, session.user_id, session.title, session.provider, session.model, session.mode, now


def _claim(asked: Asked, message_id: UUID, start: Position = START) -> None:
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


def _turn(
    opening: Opening,
    model: str,
    access: ProviderAccess,
    mode: Mode,
    messages: list[ChatMessage],
) -> Turn:
    """Put together what the answer needs. It may ask the database, so it belongs to the transaction."""
    system = [ChatMessage("system", mode.system_prompt)] if mode.system_prompt.strip() else []
    request = ChatRequest(
        model=model,
        messages=(*system, *messages),
        temperature=mode.temperature,
        top_p=mode.top_p,
        max_output_tokens=output_limit(access.spec, model, mode.max_output_tokens),
        reasoning_effort=mode.reasoning_effort or None,
        context_window=context_window(access.spec, model),
        extra_body=extra_body(access, model),
    )
    return Turn(opening, request, access)


def opening_of(answer: Message, session: ChatSession) -> Opening:
    return Opening(answer.id, session.id, answer.parent_id, session.title)


def _history(session: ChatSession, *, limit: int, before: UUID | None = None) -> list[ChatMessage]:
    """Return the latest messages of the chosen branch, oldest first; failed and empty ones left out."""
    messages = session.messages.chosen().exclude(content="").exclude(status__in=NOT_SENT)
    if before is not None:
        messages = messages.filter(id__lt=before)
    newest_first = messages.order_by("-id").values_list("role", "content")[: max(limit, 0)]
    return [ChatMessage(role, content) for role, content in reversed(newest_first)]  # type: ignore[arg-type]


def _sent(session: ChatSession, newest: list[Any], *, limit: int) -> list[ChatMessage]:
    """Return the history by the newest messages, which nearly always are enough."""
    sent = [
        ChatMessage(role, content)
        for _, role, status, content in newest
        if content and status not in NOT_SENT
    ]
    if len(sent) < limit and len(newest) == limit + SPARE:
        return _history(session, limit=limit)
    return sent[: max(limit, 0)][::-1]


def _own_session(user: Any, session_id: UUID) -> ChatSession:
    """Return a session of the user's, locked: whoever changes its messages locks it first."""
    session = statements.OWN_SESSION.first(user.pk, session_id)
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
    return _mode_or_normal(statements.ENABLED_MODE.first(mode_id), mode_id, fallback=fallback)


def _mode_or_normal(mode: Mode | None, mode_id: str, *, fallback: bool = False) -> Mode:
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
