"""The messages that stand beside one: other answers to the same message, or its other wordings."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Func, Q, RowRange, TextField, Window
from django.db.models.functions import Cast, FirstValue, RowNumber

from chat.models import Message

# How many ids a message names of the siblings before it, and of those after it. Nothing bounds how many there
# are, and each of a page's messages names its own.
NEARBY = 25


@dataclass(frozen=True, slots=True)
class Siblings:
    """Where a message stands among its siblings, itself included."""

    index: int
    count: int
    nearby: list[UUID]


class JoinedIds(Func):
    """The ids of a window's frame, in one text."""

    function = "STRING_AGG"
    template = "%(function)s(%(expressions)s, ',')"
    output_field = TextField()
    window_compatible = True

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="GROUP_CONCAT", **context)


def siblings_of(messages: list[Message]) -> dict[UUID, Siblings]:
    """Return the siblings of messages of one conversation, oldest first.

    The database picks them: it sends one row per message, however many siblings there are.
    """
    if not messages:
        return {}
    parents = {message.parent_id for message in messages}
    beside = Q(parent_id__in=parents - {None})
    if None in parents:
        beside |= Q(parent_id=None, session_id=messages[0].session_id)
    place: dict[str, Any] = {"partition_by": [F("parent_id")], "order_by": F("id").asc()}
    rows = (
        # Each by an index: to look through a conversation, SQLite would read all of its text.
        Message.objects.filter(beside)
        .annotate(
            # A filter by the id itself would keep the siblings out of the windows.
            own=Window(FirstValue("id"), frame=RowRange(0, 0), **place),
            nearby=Window(JoinedIds(Cast("id", TextField())), frame=RowRange(-NEARBY, NEARBY), **place),
            number=Window(RowNumber(), **place),
            count=Window(Count("id"), partition_by=[F("parent_id")]),
        )
        .filter(own__in=[message.id for message in messages])
        .order_by()
    )
    return {
        message_id: Siblings(number - 1, count, [UUID(text) for text in nearby.split(",")])
        for message_id, nearby, number, count in rows.values_list("id", "nearby", "number", "count")
    }
