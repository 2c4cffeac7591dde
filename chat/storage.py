"""How much text a person has stored: counted with each conversation, and limited over all of them.

A conversation's count changes in the statements that store its messages. After a crash it may lack an answer
that was cut off; the next deletion of a message counts it again.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import BigIntegerField, Case, Exists, ExpressionWrapper, F, Sum, When
from django.db.models.functions import Coalesce, Length

from chat import refusals
from chat.models import ChatSession, Message
from chatproject.prepared import Select

Status = Message.Status

STORED = Select(
    lambda user: (
        ChatSession.objects.filter(user_id=user)
        .order_by()
        .values("user_id")
        .annotate(stored=Sum("stored_chars"))
        .values_list("stored")
    )
)


def is_limited() -> bool:
    return settings.CHAT_MAX_STORED_CHARS > 0


def check(stored: int) -> None:
    """Raise where somebody has no room for another message."""
    if stored >= settings.CHAT_MAX_STORED_CHARS > 0:
        raise refusals.StorageQuotaExceeded


def of_person(user_id: int) -> int:
    rows = STORED.rows(user_id)
    return int(rows[0][0]) if rows else 0


def with_answer(message: Any, chars: Any) -> Case:
    """Return a conversation's count with an answer that ends now; its end may be stored twice."""
    counted = F("stored_chars") + ExpressionWrapper(chars, output_field=BigIntegerField())
    open_still = Message.objects.filter(pk=message, status__in=[Status.STREAMING, Status.INTERRUPTED])
    return Case(
        When(Exists(open_still), then=counted), default=F("stored_chars"), output_field=BigIntegerField()
    )


def recount(session_id: UUID) -> None:
    """Count a conversation's messages again; its row is locked."""
    chars = Coalesce(Sum(Length("content") + Length("reasoning")), 0)
    stored = Message.objects.filter(session_id=session_id).aggregate(chars=chars)["chars"]
    ChatSession.objects.filter(pk=session_id).update(stored_chars=stored)
