"""Everything that starts answers. Synchronous, atomic, and always from the user.

A turn is opened by one of `open_turn`, `open_regeneration`, `open_edit` and
`open_continuation`, each one transaction: it locks the user's row, so that the
same person's requests are decided one after the other, whatever the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from chat import branches, leases, refusals, statements
from chat.admission import Asked, Asking, Replay, admit, claim, look
from chat.answers import Opening, running
from chat.choosing import provider_and_model
from chat.context import newest_needed, read
from chat.endings import usage_of
from chat.events import Position
from chat.history import Row, tokens_of
from chat.ids import uuid7
from chat.models import ChatSession, Message, Mode
from chat.titles import NEW_CHAT, title_of
from chatproject.prepared import Both, atomic
from providers.base import ChatMessage, ChatRequest, Usage
from providers.entries import WITH_BODY, context_window, extra_body, output_limit, reading_budget
from providers.models import ModelEntry
from providers.registry import ProviderAccess
from providers.resolve import CONFIGS, chosen, resolve

NORMAL_MODE = "normal"

# What is sent after a cut answer, so that the model goes on instead of answering anew.
CONTINUE_PROMPT = (
    "Your last message broke off before its end. Continue it from exactly where it stopped: "
    "do not repeat anything, do not apologise, do not start over."
)

Status = Message.Status
CONTINUABLE = {Status.STOPPED, Status.INTERRUPTED, Status.FAILED}


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer about to be asked for, with all that it needs; `reasoning` and `content` it already has."""

    opening: Opening
    request: ChatRequest
    access: ProviderAccess
    reasoning: str = ""
    content: str = ""
    # What was counted for that, who gave it, and how often some of it was found to be reasoning.
    usage: Usage | None = None
    served_model: str = ""
    resets: int = 0


# --- opening a turn -------------------------------------------------------------------------------


def open_turn(
    asked: Asked,
    *,
    message: str,
    provider: str,
    model: str,
    mode: str,
    session_id: UUID | None,
    context: str | None = None,
) -> Turn | Replay:
    """Save the user's message and the pending answer, and gather what the answer needs.

    Raises an `ApiError` for everything that can be refused; nothing is stored then.
    """
    with atomic():
        needed: list[Asking] = [
            (CONFIGS, (asked.user.pk, provider)),
            (statements.ENABLED_MODE, (mode,)),
            (WITH_BODY, (provider,)),
        ]
        named = bool(provider)
        if session_id is not None:
            needed.append((statements.newest(newest_needed()), (session_id,)))
        found = look(asked, *needed, session_id=session_id)
        if replay := admit(asked, found):
            return replay
        configs, modes, bodies, *newest = found.more
        messages = [Row(*row) for row in newest[0]] if newest else []
        session = found.session
        provider, model = provider_and_model(found.user, session, provider, model)
        access = chosen(provider, configs) if named else resolve(found.user, provider)
        chosen_mode = _mode_or_normal(modes[0] if modes else None, mode)
        if session_id is None:
            session = ChatSession(user=asked.user, title=title_of(message), context=found.user.context)
        elif session is None:
            raise refusals.SessionNotFound
        if found.here:
            _refuse_second_answer(session)
        last = messages[0].id if messages else None
        if last is None and session.title == NEW_CHAT:
            session.title = title_of(message)
        session.provider, session.model, session.mode = provider, model, mode
        _choose_context(session, found.user, context)
        question = _asked_now(message, uuid7(after=last))
        entries = bodies if named else None
        turn = _turn(session, access, chosen_mode, question=question, newest=messages, entries=entries)
        _ask(asked, session, turn.opening, parent=last, message=message)
        return turn


def open_regeneration(
    asked: Asked,
    *,
    session_id: UUID,
    message_id: UUID | None,
    provider: str,
    model: str,
    context: str | None = None,
) -> Turn | Replay:
    """Open a second answer to a user message (the last one by default), beside those it has."""
    with atomic():
        found = look(asked)
        if replay := admit(asked, found):
            return replay
        session = _own_session(asked.user, session_id)
        _refuse_second_answer(session)
        question = _question_of(session, message_id)
        provider, model = provider_and_model(asked.user, session, provider, model)
        access = resolve(asked.user, provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, question.id)
        session.provider, session.model = provider, model
        _choose_context(session, found.user, context)
        turn = _turn(session, access, chosen_mode, answers=question.id)
        _begin(statements.ASK_AGAIN, asked, session, turn.opening)
        return turn


def open_edit(asked: Asked, *, message_id: UUID, message: str, context: str | None = None) -> Turn | Replay:
    """Open a new branch: another wording of a user message, and the answer to it."""
    with atomic():
        found = look(asked)
        if replay := admit(asked, found):
            return replay
        old = _own_message(asked.user, message_id)
        if old.role != Message.Role.USER:
            raise refusals.NotAUserMessage
        session = old.session
        _refuse_second_answer(session)
        access = resolve(asked.user, session.provider)
        chosen_mode = get_mode(session.mode, fallback=True)
        branches.choose_path_to(session.id, old.parent_id)
        _choose_context(session, found.user, context)
        question = _asked_now(message, uuid7(after=old.id))
        turn = _turn(session, access, chosen_mode, question=question)
        _ask(asked, session, turn.opening, parent=old.parent_id, message=message)
        return turn


def open_continuation(asked: Asked, *, message_id: UUID) -> Turn | Replay:
    """Reopen a cut answer, which then grows from where it ended."""
    with atomic():
        if replay := admit(asked, look(asked)):
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
        turn = _turn(session, access, chosen_mode, continued=answer)
        claim(asked, answer.id, start)
        leases.keep()
        statements.TOUCH.run(*_stored(session, timezone.now()))
        Message.objects.filter(pk=answer.pk).update(
            status=Status.STREAMING,
            worker_id=leases.worker_id,
            stop_requested=False,
            finish_reason="",
            notice="",
            error_code="",
            retry_after=None,
            retryable=None,
            error_detail="",
            error_status=None,
            **_stored_context(turn.opening),
        )
        return turn


def _refuse_second_answer(session: ChatSession) -> None:
    if session.messages.running().exists():
        leases.interrupt_abandoned()
        if session.messages.running().exists():
            raise refusals.AnswerInProgress


def _choose_context(session: ChatSession, user: Any, context: str | None) -> None:
    """Set how much of the conversation is sent, and let the person's next one begin like that."""
    if context is None:
        return
    session.context = context
    remember_context(user, context)


def remember_context(user: Any, context: str) -> None:
    if user.context != context:
        get_user_model()._default_manager.filter(pk=user.pk).update(context=context)


def _asked_now(message: str, question: UUID) -> Row:
    """Return a question as a row of the history, before it is stored as one."""
    return Row(question, Message.Role.USER, Status.COMPLETE, message)


def _ask(asked: Asked, session: ChatSession, opening: Opening, *, parent: UUID | None, message: str) -> None:
    """Save a question and the row that its answer will fill, before the provider is asked."""
    session.stored_chars += len(message)
    both = statements.BEGIN if session._state.adding else statements.ASK
    _begin(both, asked, session, opening, parent, message)


def _begin(both: Both, asked: Asked, session: ChatSession, opening: Opening, *asking: Any) -> None:
    """Save the row that an answer will fill, and what belongs to it; this commits the transaction."""
    leases.keep()
    now = timezone.now()
    claim(asked, opening.message_id)
    asked_of = session.provider, session.model, leases.worker_id
    context = _stored_context(opening).values()
    row = session.id, opening.message_id, opening.user_message_id, *asked_of, now, *context
    both.run(_stored(session, now), (*row, *asking), commits=True)


def _stored(session: ChatSession, now: datetime) -> tuple[Any, ...]:
    """Return what is stored of a session that moves to the top of the list."""
    of_session = session.title, session.provider, session.model, session.mode, session.context
    return session.id, session.user_id, *of_session, session.stored_chars, now


def _stored_context(opening: Opening) -> dict[str, Any]:
    context = opening.context
    if context is None:
        return {"context_sent": None, "context_omitted": None, "context_first": None}
    return {
        "context_sent": context.sent,
        "context_omitted": context.omitted,
        "context_first": context.first,
    }


def _turn(
    session: ChatSession,
    access: ProviderAccess,
    mode: Mode,
    *,
    question: Row | None = None,
    answers: UUID | None = None,
    continued: Message | None = None,
    newest: Sequence[Row] | None = None,
    entries: Sequence[ModelEntry] | None = None,
) -> Turn:
    """Put together what the answer needs. It may ask the database, so it belongs to the transaction.

    It answers `question`, which is not stored yet, or the message `answers`, or goes on with `continued`.
    """
    model = continued.model if continued else session.model
    own = _own_part(continued) if continued else []
    system = [ChatMessage("system", mode.system_prompt, keep=True)] if mode.system_prompt.strip() else []

    def budget() -> int:
        beside = sum(tokens_of(message.content) for message in [*system, *own])
        return reading_budget(access.spec, model, mode.max_output_tokens) - beside

    history = read(
        session,
        question,
        limit=settings.CHAT_HISTORY_LIMIT - len(own),
        budget=budget,
        before=continued.id if continued else None,
        newest=newest,
    )
    request = ChatRequest(
        model=model,
        messages=(*system, *history.messages, *own),
        temperature=mode.temperature,
        top_p=mode.top_p,
        max_output_tokens=output_limit(access.spec, model, mode.max_output_tokens),
        reasoning_effort=mode.reasoning_effort or None,
        context_window=context_window(access.spec, model),
        extra_body=extra_body(access, model, entries),
        continues=bool(own),
    )
    if continued is not None:
        opening = replace(opening_of(continued, session), context=history.context)
        usage = usage_of(continued.usage)
        return Turn(
            opening,
            request,
            access,
            continued.reasoning,
            continued.content,
            usage,
            continued.served_model,
            continued.resets,
        )
    asks = question.id if question else answers
    opening = Opening(uuid7(after=asks), session.id, asks, session.title, history.context)
    return Turn(opening, request, access)


def _own_part(answer: Message) -> list[ChatMessage]:
    """Return what the model is sent of a cut answer: the part it has written, and what to do with it."""
    if not answer.content.strip():
        return []
    return [ChatMessage("assistant", answer.content), ChatMessage("user", CONTINUE_PROMPT)]


def opening_of(answer: Message, session: ChatSession) -> Opening:
    return Opening(answer.id, session.id, answer.parent_id, session.title, answer.context)


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
