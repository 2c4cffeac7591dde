"""Messages and conversations as a template shows them. Only reads."""

import base64
import binascii
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from chat import faults, notices, services
from chat.events import Position
from chat.markdown import to_html
from chat.models import ChatSession, Message
from chat.siblings import Siblings, siblings_of
from providers.registry import PROVIDERS
from providers.resolve import added_servers
from providers.specs import ProviderSpec

# Parsing costs time: beyond this much on one page the rest is shown as plain text.
PAGE_MARKDOWN_CHARS = 500_000

# Faults that the settings of the provider can mend.
SETTINGS_CODES = {
    "provider_not_configured",
    "provider_key_unreadable",
    "invalid_credentials",
    "provider_quota_exceeded",
    "wrong_address",
    "wrong_api_version",
    "address_not_allowed",
    "address_malformed",
}


@dataclass(frozen=True, slots=True)
class Versions:
    """Where a message stands among its siblings, and which are the next ones."""

    number: int
    count: int
    previous: UUID | None
    next: UUID | None


@dataclass(frozen=True, slots=True)
class ShownMessage:
    message: Message
    # None: show the text as it is.
    html: SafeString | None
    siblings: Versions | None
    fault: str | Promise
    # Why there is no text.
    notice: str | Promise
    retryable: bool
    # Who answered; `None` where that provider is no longer there.
    provider: ProviderSpec | None
    # The chosen branch ends here, so the conversation can go on from here.
    at_end: bool

    @property
    def streaming(self) -> bool:
        return self.message.status == Message.Status.STREAMING

    @property
    def event_id(self) -> str:
        """Return the position up to which this page has the answer; see `chat.events`."""
        message = self.message
        return f"{message.id}:{Position(len(message.reasoning), len(message.content), message.resets)}"

    @property
    def settings_help(self) -> bool:
        spec = self.provider
        if spec is None or spec.protocol == "demo" or self.message.error_code not in SETTINGS_CODES:
            return False
        # The settings of a shared server are its operator's alone.
        return spec.personal or spec.id in PROVIDERS

    @property
    def provider_name(self) -> str:
        return str(self.provider.name) if self.provider else self.message.provider

    @property
    def continuable(self) -> bool:
        """Tell whether the answer was cut and could go on; an empty one is better asked for again."""
        cut = self.message.status in services.CONTINUABLE or self.message.finish_reason == "length"
        return self.at_end and cut and bool(self.message.content)

    @property
    def thoughts(self) -> str:
        """Return what the folded thoughts are called: how long they took, where that is known."""
        if self.streaming:
            return _("Thinking…")
        if self.message.reasoning_time is None:
            return _("Thoughts")
        return _("Thought for {seconds} s").format(seconds=max(1, round(self.message.reasoning_time / 1000)))

    @property
    def seconds_to_first_word(self) -> float | None:
        waited = self.message.first_token_time
        # Less than what would be shown as zero is not worth a word.
        return None if waited is None or waited < 50 else waited / 1000

    @property
    def seconds_to_wait(self) -> int:
        """What is left of the time that the provider asked for, counted from when the answer failed."""
        if self.message.retry_after is None:
            return 0
        failed_at = self.message.created_at + timedelta(milliseconds=self.message.response_time or 0)
        left = self.message.retry_after - (timezone.now() - failed_at).total_seconds()
        return max(0, math.ceil(left))


def show_all(messages: list[Message], *, at_end: bool) -> list[ShownMessage]:
    """Return messages of one conversation as they are shown; `at_end` says whether the last ends the branch.

    The newest are the ones that are read, so where not all can be parsed they are.
    """
    beside = siblings_of(messages)
    added = added_servers(messages[0].session.user_id, {m.provider for m in messages}) if messages else {}
    left = PAGE_MARKDOWN_CHARS
    found = []
    for position, message in enumerate(reversed(messages)):
        left -= len(message.content)
        html = to_html(message.content) if left >= 0 and _is_markdown(message) else None
        siblings = _versions(message, beside.get(message.id))
        provider = PROVIDERS.get(message.provider) or added.get(message.provider)
        found.append(_show(message, html, siblings, provider=provider, at_end=at_end and position == 0))
    return found[::-1]


def _is_markdown(message: Message) -> bool:
    # An answer that still grows is shown as text: half of a table is not one.
    return message.role == Message.Role.ASSISTANT and message.status != Message.Status.STREAMING


def _show(
    message: Message,
    html: SafeString | None,
    siblings: Versions | None,
    *,
    provider: ProviderSpec | None = None,
    at_end: bool,
) -> ShownMessage:
    fault = faults.fault(message.error_code, message.retryable) if message.error_code else None
    return ShownMessage(
        message=message,
        html=html,
        siblings=siblings,
        fault=fault.text if fault else "",
        notice=notices.text_of(message.notice),
        retryable=bool(fault and fault.retryable),
        provider=provider,
        at_end=at_end,
    )


def _versions(message: Message, siblings: Siblings | None) -> Versions | None:
    if siblings is None or siblings.count < 2:
        return None
    nearby = siblings.nearby
    at = nearby.index(message.id)
    return Versions(
        number=siblings.index + 1,
        count=siblings.count,
        previous=nearby[at - 1] if at else None,
        next=nearby[at + 1] if at + 1 < len(nearby) else None,
    )


def blank_question() -> ShownMessage:
    """Return an empty message of the person's own: the page's script fills copies of it."""
    return _show(Message(role=Message.Role.USER), None, None, at_end=False)


def blank_answer() -> ShownMessage:
    """Return an answer of which nothing has arrived: the page's script fills copies of it."""
    message = Message(role=Message.Role.ASSISTANT, status=Message.Status.STREAMING)
    return _show(message, None, None, at_end=True)


# --- conversations -------------------------------------------------------------------------------------


Sessions = TypeVar("Sessions", bound=QuerySet[ChatSession])


# Whoever pins more finds the others in the history.
MOST_PINNED = 100


@dataclass(frozen=True, slots=True)
class Day:
    name: str
    sessions: list[ChatSession]


@dataclass(frozen=True, slots=True)
class SessionList:
    """A part of the list at the side: what is pinned comes first, then everything else by day."""

    days: list[Day]
    after: str | None


def session_list(sessions: Sessions, after: str, count: int) -> SessionList:
    sessions = with_answering(sessions)
    found, next_after = page_of_sessions(sessions.filter(pinned=False), after, count)
    days = by_day(found)
    if not after:
        pinned = list(sessions.filter(pinned=True).order_by("-updated_at", "-id")[:MOST_PINNED])
        if pinned:
            days.insert(0, Day(_("Pinned"), pinned))
    return SessionList(days, next_after)


def with_answering(sessions: Sessions) -> Sessions:
    """Let every session say whether an answer is being written in it."""
    answering = Message.objects.running().filter(session=OuterRef("pk"))
    return sessions.annotate(is_answering=Exists(answering))


def page_of_sessions(
    sessions: QuerySet[ChatSession], after: str, count: int
) -> tuple[list[ChatSession], str | None]:
    """Return `count` sessions, newest first, and what to ask for next; an `after` not ours begins anew."""
    rows = sessions.order_by("-updated_at", "-id")
    if place := _place(after):
        moment, last = place
        rows = rows.filter(updated_at__lte=moment).filter(Q(updated_at__lt=moment) | Q(id__lt=last))
    found = list(rows[: count + 1])
    if len(found) <= count:
        return found, None
    found = found[:count]
    text = f"{found[-1].updated_at.isoformat()}|{found[-1].id}"
    return found, base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(after: str) -> tuple[datetime, UUID] | None:
    try:
        padded = after.encode("ascii") + b"=" * (-len(after) % 4)
        moment_text, _bar, id_text = base64.urlsafe_b64decode(padded).decode("ascii").partition("|")
        moment, last = parse_datetime(moment_text), UUID(id_text)
    except (ValueError, binascii.Error):
        return None
    # Ours are all in UTC; another offset may lead out of what a database can hold.
    return None if moment is None or moment.utcoffset() != timedelta(0) else (moment, last)


def by_day(sessions: Iterable[ChatSession]) -> list[Day]:
    """Group sessions that come newest first: today, yesterday, this week, this month, then by month."""
    today = timezone.localdate()
    days: list[Day] = []
    for session in sessions:
        name = _day_name(timezone.localdate(session.updated_at), today)
        if not days or days[-1].name != name:
            days.append(Day(name, []))
        days[-1].sessions.append(session)
    return days


def _day_name(day: date, today: date) -> str:
    if day >= today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    if day > today - timedelta(days=7):
        return _("Previous 7 days")
    if day > today - timedelta(days=30):
        return _("Previous 30 days")
    return date_format(day, "YEAR_MONTH_FORMAT")
