"""The page: conversations to read, and a composer to write with.

Ordinary synchronous views that render templates: everything can be read without
scripts. What streams goes through the API.
"""

import functools
import zoneinfo
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chat import finding, first_steps, page_texts, services, shown, windows
from chat.first_choice import first_choice
from chat.models import ChatSession, ContextChoice, Mode
from chat.serializers import ModeSerializer
from providers.catalogue import look_up
from providers.resolve import choices as providers_of

SIDEBAR_SESSIONS = 50
HISTORY_SESSIONS = 50
SIDEBAR_FOUND = 20
MOST_SOUGHT = 200

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """Let only signed-in people in, keep nothing in caches, and tell times as their clock does."""

    @functools.wraps(view)
    def in_their_time(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with timezone.override(_timezone(request)):
            return view(request, *args, **kwargs)

    return never_cache(login_required(in_their_time))


def _timezone(request: HttpRequest) -> zoneinfo.ZoneInfo:
    # A cookie that the page's script sets, because no header tells it.
    name = request.COOKIES.get("timezone", "")
    try:
        return zoneinfo.ZoneInfo(name[:60])
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo(settings.TIME_ZONE)


# --- conversations -------------------------------------------------------------------------------------


@require_GET
@page
def new_chat(request: HttpRequest) -> HttpResponse:
    """Show an empty conversation; it is stored with its first message."""
    last = ChatSession.objects.for_user(request.user).only("provider", "model", "mode", "updated_at").first()
    context = _chat_context(request, chosen=last, following=None)
    if context["only_demo"]:
        context["offered"] = first_steps.offered()
    return render(request, "chat/new.html", context)


@require_GET
@page
def conversation(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Show the newest messages of a conversation's chosen branch, or others: see `chat.windows`."""
    session = _own_session(request, session_id)
    names = ("before", "after", "at", "of")
    wanted = windows.Wanted(**{name: _uuid(request.GET.get(name)) for name in names})
    window = windows.window(session, wanted)
    for message in window.messages:
        message.session = session
    context = _chat_context(request, chosen=session, following=session)
    return render(
        request,
        "chat/conversation.html",
        context
        | {
            "session": session,
            "shown_messages": shown.show_all(window.messages, at_end=not window.later),
            "earlier": window.messages[0].id if window.earlier and window.messages else None,
            "later": window.messages[-1].id if window.later and window.messages else None,
            "cut": window.cut,
            "other_branch": window.other_branch,
            "in_the_past": window.later,
            "sought": request.GET.get("q", "")[:MOST_SOUGHT] if wanted.at else "",
        },
    )


@require_GET
@page
def one_message(request: HttpRequest, session_id: UUID, message_id: UUID) -> HttpResponse:
    """Give one message as it stands in the page, for an answer that has just ended."""
    session = _own_session(request, session_id)
    message = session.messages.filter(pk=message_id).first()
    if message is None:
        raise Http404
    message.session = session
    at_end = message.on_branch and not session.messages.chosen().filter(id__gt=message.id).exists()
    context = {"shown": shown.show_all([message], at_end=at_end)[0], "as_of": session.updated_at}
    return render(request, "chat/message.html", context)


@require_GET
@page
def history(request: HttpRequest) -> HttpResponse:
    """List all conversations, or find some: by day, newest first, a page at a time."""
    query = _sought(request)
    archived = request.GET.get("archived") == "1"
    sessions = shown.with_answering(ChatSession.objects.for_user(request.user))
    if query:
        sessions = sessions.matching(query)
    # Whoever looks for something wants it wherever it lies, unless they look among what is archived.
    if archived or not query:
        sessions = sessions.filter(archived=archived)
    found, after = shown.page_of_sessions(sessions, request.GET.get("after", ""), HISTORY_SESSIONS)
    context = frame(request) | {
        "query": query,
        "archived": archived,
        "days": [] if query else shown.by_day(found),
        "found": finding.found_in(found, query) if query else [],
        "after": after,
    }
    return render(request, "chat/history.html", context)


@require_GET
@page
def session_list(request: HttpRequest) -> HttpResponse:
    """Give the list at the side as it stands now, a later part of it, or what a search found."""
    sessions = ChatSession.objects.for_user(request.user)
    if query := _sought(request):
        rows = shown.with_answering(sessions.matching(query))
        found, _after = shown.page_of_sessions(rows, "", SIDEBAR_FOUND)
        context: dict[str, Any] = {"query": query, "found": finding.found_in(found, query)}
        return render(request, "chat/session_found.html", context)
    context = {"sidebar": _sidebar(request, request.GET.get("after", ""))}
    return render(request, "chat/session_list.html", context)


def _sought(request: HttpRequest) -> str:
    return request.GET.get("q", "").replace("\0", "").strip()[:MOST_SOUGHT]


def _sidebar(request: HttpRequest, after: str = "") -> shown.SessionList:
    sessions = ChatSession.objects.for_user(request.user).filter(archived=False)
    return shown.session_list(sessions, after, SIDEBAR_SESSIONS)


def _own_session(request: HttpRequest, session_id: UUID) -> ChatSession:
    session = ChatSession.objects.for_user(request.user).filter(pk=session_id).first()
    if session is None:
        raise Http404
    return session


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def frame(request: HttpRequest, following: ChatSession | None = None) -> dict[str, Any]:
    """Return what every page has around it: the list of conversations."""
    return {
        "sidebar": _sidebar(request),
        "current_session": following,
        "page_data": {
            "texts": page_texts.texts(),
            "sessionId": str(following.id) if following else None,
            "userId": request.user.pk,
            "urls": {
                "newChat": reverse("new-chat"),
                "conversation": "/c/",
                "list": reverse("session-list"),
                "login": reverse("login"),
                "settings": reverse("settings"),
                "provider": "/settings/providers/",
            },
        },
    }


def _suggested(provider: str, model: str) -> dict[str, str]:
    """Return a suggested model in the shape of the API's list: its id, and on which day it retires."""
    entry = look_up(provider, model)
    retires = entry.retires if entry else None
    return {"id": model} | ({"retiresOn": retires.isoformat()} if retires else {})


def _chat_context(
    request: HttpRequest, *, chosen: ChatSession | None, following: ChatSession | None
) -> dict[str, Any]:
    user: Any = request.user
    context = frame(request, following)
    choices = [choice for choice in providers_of(request.user.pk) if choice.configured]
    # A conversation goes on with its own.
    if following is not None and following.provider in {choice.spec.id for choice in choices}:
        provider, model = following.provider, following.model
    else:
        provider, model = first_choice(choices, chosen)
    modes = list(Mode.objects.filter(enabled=True))
    if not any(mode.id == services.NORMAL_MODE for mode in modes):
        modes.insert(0, services.get_mode(services.NORMAL_MODE))
    mode_ids = {mode.id for mode in modes}
    context["page_data"]["providers"] = [
        {
            "id": choice.spec.id,
            "name": choice.spec.name,
            "defaultModel": choice.default_model,
            "models": [_suggested(choice.spec.id, model) for model in choice.spec.models],
        }
        for choice in choices
    ]
    return context | {
        "choices": choices,
        "provider": provider,
        "model": model,
        "modes": ModeSerializer(modes, many=True).data,
        "mode": chosen.mode if chosen and chosen.mode in mode_ids else services.NORMAL_MODE,
        "context_choices": ContextChoice.choices,
        "context_choice": following.context if following else user.context,
        "only_demo": all(choice.spec.protocol == "demo" for choice in choices),
        "max_chars": settings.CHAT_MAX_MESSAGE_CHARS,
        "blank_answer": shown.blank_answer(),
        "blank_question": shown.blank_question(),
    }
