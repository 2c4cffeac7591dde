"""Deleting conversations, and messages with all that hangs below them."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from chat import branches, refusals, storage
from chat.models import ChatSession, IdempotencyKey, Message


def lock_session(session_id: UUID) -> bool:
    """Keep others from changing a session's messages until the transaction ends; tell whether it is there.

    Everything that changes several rows takes the session's first, so that no two wait for each other.
    """
    return ChatSession.objects.select_for_update(no_key=True).filter(pk=session_id).first() is not None


@transaction.atomic
def delete_session(session_id: UUID, unchanged_since: datetime | None = None) -> UUID | None:
    """Delete a conversation; return the id of its running answer, if there is one.

    Raises `SessionChanged` if somebody has used the conversation after `unchanged_since`.
    """
    lock_session(session_id)
    refuse_if_used_after(session_id, unchanged_since)
    messages = Message.objects.filter(session_id=session_id)
    answering = messages.running().values_list("pk", flat=True).first()
    # One statement for all messages, however many there are.
    messages.delete()
    ChatSession.objects.filter(pk=session_id).delete()
    return answering


@transaction.atomic
def delete_message(message: Message, unchanged_since: datetime | None = None) -> UUID | None:
    """Delete a message and all below it; return the id of a running answer among them.

    If the chosen branch contains the message, its newest sibling becomes the chosen one.
    Raises `SessionChanged` if somebody has used the conversation after `unchanged_since`.
    """
    lock_session(message.session_id)
    rows = Message.objects.filter(session_id=message.session_id)
    chosen = rows.filter(pk=message.pk).values_list("on_branch", flat=True).first()
    if chosen is None:
        return None  # already deleted, by itself or with a message above it
    refuse_if_used_after(message.session_id, unchanged_since)
    ids = branches.below(message.session_id, message.pk)
    answering = rows.running().values_list("pk", flat=True).first()
    for start in range(0, len(ids), branches.BATCH):
        rows.filter(pk__in=ids[start : start + branches.BATCH]).delete()
    storage.recount(message.session_id)
    if chosen:
        branches.choose_branch_of(message.session_id, message.parent_id)
    return answering if answering in set(ids) else None


def refuse_if_used_after(session_id: UUID, moment: datetime | None) -> None:
    """Raise `SessionChanged` if a question, an answer or a continuation has begun after `moment`.

    The end of an answer does not count, although it moves `updated_at`: the answer had begun before.
    """
    if moment is None:
        return
    messages = Message.objects.filter(session_id=session_id)
    begun = Q(created_at__gt=moment) | Q(status=Message.Status.STREAMING, session__updated_at__gt=moment)
    # A continuation that has ended leaves only its key behind.
    continued = IdempotencyKey.objects.filter(
        Q(start_content__gt=0) | Q(start_reasoning__gt=0),
        created_at__gt=moment,
        message_id__in=messages.values("pk"),
    )
    if messages.filter(begun).exists() or continued.exists():
        raise refusals.SessionChanged


def lock_all_of(user_id: int) -> None:
    """Lock what belongs to somebody whose account is locked and about to be deleted.

    In the order that everything keeps: the account, its sessions, and of their messages those that are
    being written, by their ids.
    """
    sessions = ChatSession.objects.filter(user_id=user_id).order_by("pk")
    list(sessions.select_for_update().values_list("pk"))
    answers = Message.objects.running().filter(session__user_id=user_id).order_by("pk")
    list(answers.select_for_update(of=("self",)).values_list("pk"))
