"""Deleting conversations, and messages with all that hangs below them."""

from uuid import UUID

from django.db import transaction

from chat import branches
from chat.models import ChatSession, Message


def lock_session(session_id: UUID) -> bool:
    """Keep others from changing a session's messages until the transaction ends; tell whether it is there.

    Everything that changes several rows takes the session's first, so that no two wait for each other.
    """
    return ChatSession.objects.select_for_update(no_key=True).filter(pk=session_id).first() is not None


@transaction.atomic
def delete_session(session: ChatSession) -> None:
    """Delete a conversation; its messages in one statement, however many they are."""
    lock_session(session.pk)
    Message.objects.filter(session_id=session.pk).delete()
    session.delete()


@transaction.atomic
def delete_message(message: Message) -> UUID | None:
    """Delete a message and all below it; return the id of an answer that was running among them.

    Where the chosen branch went through it, the newest one beside it is chosen.
    """
    lock_session(message.session_id)
    rows = Message.objects.filter(session_id=message.session_id)
    chosen = rows.filter(pk=message.pk).values_list("on_branch", flat=True).first()
    if chosen is None:
        return None  # somebody else has deleted it meanwhile, or what it hung below
    ids = branches.below(message.session_id, message.pk)
    answering = rows.running().values_list("pk", flat=True).first()
    for start in range(0, len(ids), branches.BATCH):
        rows.filter(pk__in=ids[start : start + branches.BATCH]).delete()
    if chosen:
        branches.choose_branch_of(message.session_id, message.parent_id)
    return answering if answering in set(ids) else None


def lock_all_of(user_id: int) -> None:
    """Lock what belongs to somebody whose account is locked and about to be deleted.

    In the order that everything keeps: the account, its sessions, and of their messages those that are
    being written, by their ids.
    """
    sessions = ChatSession.objects.filter(user_id=user_id).order_by("pk")
    list(sessions.select_for_update().values_list("pk"))
    answers = Message.objects.running().filter(session__user_id=user_id).order_by("pk")
    list(answers.select_for_update(of=("self",)).values_list("pk"))
