"""Pages of a conversation's messages, bounded in number and in bytes of text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Func, IntegerField
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from chat.models import ChatSession, Message, MessageQuerySet
from chat.paging import cursor_place, encode_cursor, limit_of

MOST_MESSAGES = 1000
USUAL_MESSAGES = 200
# A single answer may be longer; then it is a page of its own.
PAGE_BYTES = 1_000_000
# How many sizes the first query asks for; each further one asks for six times as many.
FIRST_BATCH = 8


class Octets(Func):
    """How many bytes a text has in UTF-8. PostgreSQL knows that without reading the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context)


@dataclass(frozen=True, slots=True)
class MessagePage:
    messages: list[Message]
    # The last message of the page, where more follow it.
    last_of_more: UUID | None


def take(rows: MessageQuerySet, count: int, *, newest_first: bool = False) -> MessagePage:
    """Return the first of `rows`: at most `count`, and no more than a page of text, but at least one.

    Their sizes are asked for first, so that the database never sends more than that.
    """
    ids: list[UUID] = []
    left = PAGE_BYTES
    for message_id, octets in _sizes(rows, newest_first):
        left -= octets
        if len(ids) == count or (left < 0 and ids):
            return MessagePage(_read(rows, ids, newest_first), ids[-1])
        ids.append(message_id)
    return MessagePage(_read(rows, ids, newest_first), None)


def _sizes(rows: MessageQuerySet, newest_first: bool) -> Iterator[tuple[UUID, int]]:
    """Yield the messages with their sizes, a batch at a time: SQLite reads a text to know its size."""
    octets = Octets("content") + Octets("reasoning")
    rows = rows.order_by(_order_by(newest_first))
    batch = FIRST_BATCH
    found = list(rows.values_list("id", octets)[:batch])
    while found:
        yield from found
        if len(found) < batch:
            return
        batch *= 6
        found = list(_beyond(rows, found[-1][0], newest_first).values_list("id", octets)[:batch])


def _read(rows: MessageQuerySet, ids: list[UUID], newest_first: bool) -> list[Message]:
    return list(rows.filter(id__in=ids).order_by(_order_by(newest_first))) if ids else []


def _order_by(newest_first: bool) -> str:
    return "-id" if newest_first else "id"


def _beyond(rows: MessageQuerySet, message_id: UUID, newest_first: bool) -> MessageQuerySet:
    return rows.filter(id__lt=message_id) if newest_first else rows.filter(id__gt=message_id)


def read(request: Request, session: ChatSession) -> tuple[list[Message], str | None]:
    """Return the page that a request asks for, and the cursor of the next one.

    `before` alone asks for the messages that stand just before that one. They are found from there upwards,
    and listed oldest first all the same.
    """
    rows: MessageQuerySet = session.messages.all()
    if request.query_params.get("branches") != "all":
        rows = rows.chosen()
    before, after, order = _bound(request, "before"), _bound(request, "after"), _order(request)
    if before is not None:
        rows = rows.filter(id__lt=before)
    if after is not None:
        rows = rows.filter(id__gt=after)
    upwards = order == "desc" or (order is None and before is not None and after is None)
    if (place := cursor_place(request, lambda values: UUID(values[0]))) is not None:
        rows = _beyond(rows, place, upwards)
    page = take(rows, limit_of(request, USUAL_MESSAGES, MOST_MESSAGES), newest_first=upwards)
    messages = page.messages[::-1] if upwards and order is None else page.messages
    return messages, encode_cursor([str(page.last_of_more)]) if page.last_of_more else None


def _bound(request: Request, name: str) -> UUID | None:
    """Return the message before or after which the list lies; one that is deleted still marks its place."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise ValidationError({name: [_("Give the id of a message.")]}) from None


def _order(request: Request) -> str | None:
    order = request.query_params.get("order")
    if order and order not in {"asc", "desc"}:
        raise ValidationError({"order": [_("Give asc or desc.")]})
    return order or None
