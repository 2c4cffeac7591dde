"""Reading the history that an answer is given: as little of the conversation as its choice needs."""

from collections.abc import Callable, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from chat import history
from chat.history import NOT_SENT, History, Row
from chat.models import ChatSession, ContextChoice, Message

# How many messages more than are sent are read, for those that do not count.
SPARE = 5
# How many are read at once where all that fits is sent.
PORTION = 200
COLUMNS = ("id", "role", "status", "content", "context_first", "context_omitted")


def newest_needed() -> int:
    """Return how many messages are read to open a turn, which nearly always are enough."""
    return max(settings.CHAT_HISTORY_LIMIT - 1, 0) + SPARE


def read(
    session: ChatSession,
    question: Row | None,
    *,
    limit: int,
    budget: Callable[[], int],
    before: UUID | None = None,
    newest: Sequence[Row] | None = None,
) -> History:
    """Return what is sent of a session's chosen branch, up to `question`, or before the message `before`.

    `question` is given where it is not stored yet. `newest` holds the rows that were read already, the newest
    message first. `budget` gives the number of tokens that may be sent; only a "full" conversation calls it.
    """
    own = [question] if question else []
    messages = session.messages.chosen()
    if before is not None:
        messages = messages.filter(id__lt=before)
    count = newest_needed()
    rows = _newest(messages, count) if newest is None else list(newest)[::-1]
    whole = len(rows) < count
    if session.context == ContextChoice.FULL:
        tokens = budget()
        if not whole:
            rows, whole = _within(messages, tokens)
        return history.full([*rows, *own], before=_before(messages, rows, whole), budget=tokens)
    wanted = max(limit, 1) - len(own)
    if not whole and sum(row.counts for row in rows) < wanted:
        rows = _newest(_counting(messages), wanted)
    return history.recent([*rows, *own], before=_before(messages, rows, whole), limit=max(limit, 1))


def _counting(messages: QuerySet[Message]) -> QuerySet[Message]:
    return messages.exclude(content="").exclude(status__in=NOT_SENT)


def _newest(messages: QuerySet[Message], count: int) -> list[Row]:
    """Return the newest `count` messages, oldest first."""
    rows = messages.order_by("-id").values_list(*COLUMNS)[:count]
    return [Row(*row) for row in rows][::-1]


def _within(messages: QuerySet[Message], tokens: int) -> tuple[list[Row], bool]:
    """Return the newest messages, oldest first, to just beyond `tokens`, and whether these are all."""
    rows: list[Row] = []
    while tokens >= 0:
        portion = _newest(messages.filter(id__lt=rows[0].id) if rows else messages, PORTION)
        rows = portion + rows
        if len(portion) < PORTION:
            return rows, True
        tokens -= sum(history.tokens_of(row.content) for row in portion if row.counts)
    return rows, False


def _before(messages: QuerySet[Message], rows: Sequence[Row], whole: bool) -> int:
    """Return how many messages that count stand before these; ask the database where the rows do not tell."""
    if whole or not rows:
        return 0
    known = history.place_of(rows)
    return _counting(messages.filter(id__lt=rows[0].id)).count() if known is None else known
