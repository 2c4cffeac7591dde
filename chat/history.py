"""Which messages of a conversation a model is sent. Pure: rows of the chosen branch in, turns out.

What is sent begins at a place that stays the same for many turns, because providers charge less for a
beginning that they have read before. So the oldest messages are dropped in blocks: the place of a message
among those that count decides, and that place never changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from providers.base import ChatMessage
from providers.estimates import estimate_tokens
from providers.turns import in_turns

# How many messages are dropped at once; fewer where the limit is low.
BLOCK = 10
# Statuses of answers that are not sent.
NOT_SENT = ("failed", "streaming")
# What a message costs besides its text: its role, and the marks around it.
MESSAGE_TOKENS = 4


class Row(NamedTuple):
    """A message of the chosen branch; an answer knows where the history that it was given began."""

    id: UUID
    role: Any
    status: str
    content: str
    first: UUID | None = None
    omitted: int | None = None

    @property
    def counts(self) -> bool:
        return bool(self.content) and self.status not in NOT_SENT


@dataclass(frozen=True, slots=True)
class Context:
    """How much of a conversation a model was sent for one answer, the question included."""

    sent: int
    omitted: int
    first: UUID

    def data(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {"sent": self.sent, "omitted": self.omitted, "firstMessageId": str(self.first)}


@dataclass(frozen=True, slots=True)
class History:
    """What is sent of a conversation, the question last."""

    messages: list[ChatMessage]
    context: Context


def place_of(rows: Sequence[Row]) -> int | None:
    """Return how many messages that count stand before these rows, by what the newest answer knows."""
    counting = [row for row in rows if row.counts]
    for row in reversed(rows):
        if row.first is not None and row.omitted is not None:
            for index, earlier in enumerate(counting):
                if earlier.id == row.first and row.omitted >= index:
                    return row.omitted - index
            return None
    return None


def recent(rows: Sequence[Row], *, before: int, limit: int) -> History:
    """Return the latest messages, at most `limit`; `before` is how many that count stand before these rows.

    The rows are in order and end with the question. They reach back to the start, or have `limit` that count.
    """
    counting = [row for row in rows if row.counts]
    total = before + len(counting)
    start = _recent_start(total, limit)
    # The next question adds itself and the answer to this one.
    lasts = start == _recent_start(total + 2, limit)
    return _history(counting, start - before, before=before, lasts=lasts)


def _recent_start(total: int, limit: int) -> int:
    block = max(1, min(BLOCK, limit // 2))
    over = max(total - limit, 0)
    return -(-over // block) * block


def full(rows: Sequence[Row], *, before: int, budget: int) -> History:
    """Return as many of the latest messages as an estimate of `budget` tokens holds, but always the question.

    The rows are in order and end with the question. They reach back to the start, or beyond the budget.
    """
    counting = [row for row in rows if row.counts]
    left = budget
    fits = len(counting) - 1
    for index in range(len(counting) - 1, -1, -1):
        left -= tokens_of(counting[index].content)
        if left < 0:
            break
        fits = index
    start = -(-(before + fits) // BLOCK) * BLOCK - before
    # Where not even one block fits, what does is sent.
    return _history(counting, start if start < len(counting) else fits, before=before, lasts=True)


def tokens_of(text: str) -> int:
    """Return about how many tokens a message of this text takes."""
    return estimate_tokens(text) + MESSAGE_TOKENS


def _history(counting: Sequence[Row], index: int, *, before: int, lasts: bool) -> History:
    index = max(index, 0)
    while index < len(counting) - 1 and counting[index].role != "user":
        index += 1
    sent = [row for row in counting[index:] if row.content.strip()]
    turns = in_turns(ChatMessage(row.role, row.content) for row in sent)
    _mark(turns, lasts=lasts)
    return History(turns, Context(len(sent), before + index, counting[index].id))


def _mark(turns: list[ChatMessage], *, lasts: bool) -> None:
    """Mark how far a provider may keep what it has read.

    All of it, where the next question is sent after the same messages. Where it is not, nothing new is worth
    keeping, and the mark stays where it was for the question before.
    """
    last = -1 if lasts else -3
    if len(turns) >= -last:
        turns[last] = replace(turns[last], keep=True)
