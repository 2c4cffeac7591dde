"""The statements that every answer takes to begin, compiled once; see `chatproject.prepared`."""

from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Q

from chat.context import COLUMNS
from chat.models import ChatSession, IdempotencyKey, Message, Mode
from chatproject.prepared import Both, Insert, Select, Sql, Together, Update

User = get_user_model()

# Whoever locks more than one of these does so in this order: the user, their session, what is counted.
OWN_USER = Select(lambda user: User.objects.select_for_update(no_key=True).filter(pk=user))
OWN_SESSION = Select(
    lambda user, session: ChatSession.objects.select_for_update(no_key=True).filter(user_id=user, pk=session)
)
KNOWN_KEY = Select(lambda user, key: IdempotencyKey.objects.filter(user_id=user, key=key))
ENABLED_MODE = Select(lambda mode: Mode.objects.filter(pk=mode, enabled=True).order_by())
# How many answers of a user's are running, and how many in one session; no row where there is none.
BUSY = Select(
    lambda user, session: (
        Message.objects.running()
        .filter(session__user_id=user)
        .order_by()
        .values("status")
        .annotate(all=Count("pk"), here=Count("pk", filter=Q(session_id=session)))
        .values_list("all", "here")
    )
)

NEW_SESSION = Insert(
    lambda session, user, title, provider, model, mode, context, chars, now: [
        ChatSession(
            id=session,
            user_id=user,
            title=title,
            provider=provider,
            model=model,
            mode=mode,
            context=context,
            stored_chars=chars,
            created_at=now,
            updated_at=now,
        )
    ]
)
TOUCH = Update(
    lambda session, user, title, provider, model, mode, context, chars, now: (
        ChatSession.objects.filter(pk=session, user_id=user),
        {
            "title": title,
            "provider": provider,
            "model": model,
            "mode": mode,
            "context": context,
            "stored_chars": chars,
            "updated_at": now,
        },
    )
)


def _pending(
    session: Any,
    answer: Any,
    question: Any,
    provider: Any,
    model: Any,
    worker: Any,
    now: Any,
    sent: Any,
    omitted: Any,
    first: Any,
) -> Message:
    return Message(
        id=answer,
        session_id=session,
        parent_id=question,
        role=Message.Role.ASSISTANT,
        status=Message.Status.STREAMING,
        provider=provider,
        model=model,
        worker_id=worker,
        created_at=now,
        context_sent=sent,
        context_omitted=omitted,
        context_first=first,
    )


ANSWER = Insert(
    lambda session, answer, question, provider, model, worker, now, sent, omitted, first: [
        _pending(session, answer, question, provider, model, worker, now, sent, omitted, first)
    ]
)
QUESTION_AND_ANSWER = Insert(
    lambda session, answer, question, provider, model, worker, now, sent, omitted, first, parent, message: [
        Message(
            id=question,
            session_id=session,
            parent_id=parent,
            role=Message.Role.USER,
            content=message,
            created_at=now,
        ),
        _pending(session, answer, question, provider, model, worker, now, sent, omitted, first),
    ]
)
BEGIN = Both(NEW_SESSION, QUESTION_AND_ANSWER)
ASK = Both(TOUCH, QUESTION_AND_ANSWER)
ASK_AGAIN = Both(TOUCH, ANSWER)
CLAIM = Insert(
    lambda user, key, fingerprint, message, reasoning, content, now: [
        IdempotencyKey(
            user_id=user,
            key=key,
            fingerprint=fingerprint,
            message_id=message,
            start_reasoning=reasoning,
            start_content=content,
            created_at=now,
        )
    ]
)


@cache
def newest(count: int) -> Select[Any]:
    """Return what reads so many messages of a session's chosen branch, the newest first."""
    return Select(
        lambda session: (
            Message.objects.filter(session_id=session).chosen().order_by("-id").values_list(*COLUMNS)[:count]
        )
    )


@cache
def together(*statements: Select[Any] | Sql) -> Together:
    return Together(*statements)
