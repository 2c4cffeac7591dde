"""What a search found in somebody's conversations, with the words around each hit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, Value, Window
from django.db.models.functions import Greatest, Length, RowNumber, StrIndex, Substr, Upper
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from chat.excerpts import plain
from chat.models import ChatSession, Message

# Of one conversation no more than this are shown: whoever wants others is more exact.
MOST_HITS = 3
BEFORE = 48
AROUND = 220


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that holds what was looked for, and where in it."""

    message_id: UUID
    role: str
    excerpt: SafeString


@dataclass(frozen=True, slots=True)
class Found:
    session: ChatSession
    title: SafeString
    hits: list[Hit]


def found_in(sessions: Iterable[ChatSession], text: str) -> list[Found]:
    """Say of each session where it holds `text`: in its title, and in its newest messages that do."""
    sessions = list(sessions)
    hits: dict[UUID, list[Hit]] = {session.id: [] for session in sessions}
    # The place is found by the database, so that a long message is not sent here for a line of it.
    place = Greatest(StrIndex(Upper("content"), Upper(Value(text))) - Value(BEFORE), Value(1))
    newest = Window(RowNumber(), partition_by=F("session_id"), order_by=F("id").desc())
    rows = (
        Message.objects.filter(session__in=sessions, content__icontains=text)
        .annotate(number=newest, place=place, size=Length("content"))
        .filter(number__lte=MOST_HITS)
        .annotate(excerpt=Substr("content", place, AROUND + len(text)))
        .order_by("-id")
        .values_list("session_id", "id", "role", "excerpt", "place", "size")
    )
    for session_id, message_id, role, excerpt, start, size in rows:
        cut_before, cut_after = start > 1, start - 1 + len(excerpt) < size
        if role == Message.Role.ASSISTANT:
            excerpt = plain(excerpt, _pattern(text), cut_before=cut_before, cut_after=cut_after)
        whole = " ".join(excerpt.split())
        before, after = "…" if cut_before else "", "…" if cut_after else ""
        hits[session_id].append(Hit(message_id, role, marked(f"{before}{whole}{after}", text)))
    return [Found(session, marked(session.title, text), hits[session.id]) for session in sessions]


def _pattern(text: str) -> re.Pattern[str] | None:
    """Return what finds `text`, also where its line breaks are shown as spaces."""
    parts = [re.escape(part) for part in text.split()]
    return re.compile(r"\s+".join(parts), re.IGNORECASE) if parts else None


def marked(words: str, text: str) -> SafeString:
    """Return `words` as HTML, with `text` marked wherever it stands in them."""
    pattern = _pattern(text)
    pieces = re.split(f"({pattern.pattern})", words, flags=re.IGNORECASE) if pattern else [words]
    shown = (
        format_html("<mark>{}</mark>" if number % 2 else "{}", piece) for number, piece in enumerate(pieces)
    )
    return format_html_join("", "{}", ((piece,) for piece in shown))
