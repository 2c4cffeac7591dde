"""Which messages of a conversation one page shows: its end, or a part of a long or another branch."""

from dataclasses import dataclass, replace
from uuid import UUID

from chat import branches
from chat.history import Context
from chat.message_pages import take
from chat.models import ChatSession, Message, MessageQuerySet

PAGE_MESSAGES = 100
# How many of them stand above a message that somebody wants to see.
ABOVE = 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page was asked for: messages before, after or around one; without any, the newest ones.

    `of` names a message of the branch that is meant; without it, that is the chosen one.
    """

    before: UUID | None = None
    after: UUID | None = None
    at: UUID | None = None
    of: UUID | None = None


@dataclass(frozen=True, slots=True)
class Window:
    messages: list[Message]
    # There are more above the first and below the last of them.
    earlier: bool
    later: bool
    # A message of the branch that is shown, where that is not the chosen one.
    other_branch: UUID | None
    # How much of the branch the model was sent for its newest answer.
    cut: Context | None = None


def window(session: ChatSession, wanted: Wanted) -> Window:
    """Return the messages of a page, oldest first. A message that is not there is one nobody asked for."""
    rows, other = _branch(session, wanted.of or wanted.at)
    return replace(_page(rows, other, wanted), cut=_cut(rows))


def _cut(rows: MessageQuerySet) -> Context | None:
    told = rows.filter(context_sent__isnull=False).order_by("-id")
    newest = told.only("context_sent", "context_omitted", "context_first").first()
    return newest.context if newest else None


def _page(rows: MessageQuerySet, other: UUID | None, wanted: Wanted) -> Window:
    if wanted.at is not None and rows.filter(pk=wanted.at).exists():
        above, earlier = _newest(rows.filter(id__lt=wanted.at), ABOVE)
        below, later = _oldest(rows.filter(id__gte=wanted.at), PAGE_MESSAGES - ABOVE)
        return Window([*above, *below], earlier, later, other)
    if wanted.after is not None:
        messages, later = _oldest(rows.filter(id__gt=wanted.after), PAGE_MESSAGES)
        return Window(messages, rows.filter(id__lte=wanted.after).exists(), later, other)
    if wanted.before is not None:
        messages, earlier = _newest(rows.filter(id__lt=wanted.before), PAGE_MESSAGES)
        return Window(messages, earlier, rows.filter(id__gte=wanted.before).exists(), other)
    messages, earlier = _newest(rows, PAGE_MESSAGES)
    return Window(messages, earlier, False, other)


def _branch(session: ChatSession, of: UUID | None) -> tuple[MessageQuerySet, UUID | None]:
    messages: MessageQuerySet = session.messages.all()
    chosen = messages.filter(pk=of).values_list("on_branch", flat=True).first() if of else None
    if of is None or chosen is None or chosen:
        return messages.chosen(), None
    return messages.filter(pk__in=branches.branch_of(session.id, of)), of


def _newest(rows: MessageQuerySet, count: int) -> tuple[list[Message], bool]:
    page = take(rows, count, newest_first=True)
    return page.messages[::-1], page.last_of_more is not None


def _oldest(rows: MessageQuerySet, count: int) -> tuple[list[Message], bool]:
    page = take(rows, count)
    return page.messages, page.last_of_more is not None
