"""Conversations in the admin: found and read, never written.

Tables may hold millions of rows, so nothing here counts or searches all of one.
What somebody said, and what a model answered, can be deleted but not changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.functional import Promise, cached_property
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from chat import deletions, shown
from chat.models import ChatSession, Message, Mode
from chatproject.admin import MAX_SEARCH_CHARS, NamedLookups, ShortSearch
from providers.models import ProviderConfig
from providers.registry import PROVIDERS

# A list shows so many rows at most; filters reach the others.
MOST_ROWS = 10_000
# A text is looked for in the newest so many rows that fit the filters.
SEARCHED_SESSIONS = 50_000
SEARCHED_MESSAGES = 50_000
# And the messages of one user in so many of their conversations.
USER_SESSIONS = 500
TRANSCRIPT_MESSAGES = 100
EXCERPT_CHARS = 160


class CappedPaginator(Paginator):
    """Counts no further than `MOST_ROWS`: PostgreSQL would read the whole table for the exact number."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by().values("pk")[:MOST_ROWS].count()
        return len(rows)


# --- filters -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    label: str | Promise
    type: str = "text"


class InputFilter(admin.ListFilter):
    """A filter that is typed in: there are too many users, models and days to list them."""

    template = "admin/chat/input_filter.html"
    inputs: tuple[Input, ...] = ()

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for one in self.inputs:
            if one.name in params:
                given = params.pop(one.name)
                self.used_parameters[one.name] = (given[-1] if isinstance(given, list) else given).strip()

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [one.name for one in self.inputs]

    def value_of(self, name: str) -> str:
        return str(self.used_parameters.get(name, ""))[:MAX_SEARCH_CHARS]

    def fields(self) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "label": one.label, "type": one.type, "value": self.value_of(one.name)}
            for one in self.inputs
        ]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Return what the form has to carry along, and where the filter is off."""
        own = {*self.expected_parameters(), "p", "e"}
        others = [(name, value) for name, value in changelist.params.items() if name not in own]
        active = any(self.value_of(one.name) for one in self.inputs)
        off = changelist.get_query_string(remove=self.expected_parameters())
        yield {"others": others, "selected": active, "query_string": off}


class UserFilter(InputFilter):
    title = _("user")
    inputs = (Input("username", _("Username")),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (name := self.value_of("username")):
            return queryset
        users: Any = get_user_model()._default_manager
        try:
            user = users.get_by_natural_key(name)
        except users.model.DoesNotExist:
            return queryset.none()
        return self.of_user(queryset, user)

    def of_user(self, queryset: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return queryset.filter(user=user)


class MessageUserFilter(UserFilter):
    """Looks at a user's newest conversations, so that somebody with a million messages costs no more."""

    def of_user(self, queryset: QuerySet[Any], user: Any) -> QuerySet[Any]:
        newest = ChatSession.objects.for_user(user).order_by("-updated_at", "-id").values("pk")
        return queryset.filter(session_id__in=newest[:USER_SESSIONS])


class ModelFilter(InputFilter):
    title = _("model")
    inputs = (Input("model", _("Model, or its beginning")),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value_of("model")
        return queryset.filter(model__startswith=name) if name else queryset


class DayFilter(InputFilter):
    title = _("date")
    inputs = (Input("from", _("From"), "date"), Input("until", _("Until"), "date"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if first := self._day("from"):
            queryset = queryset.filter(self.since(_midnight(first)))
        if last := self._day("until"):
            queryset = queryset.exclude(self.since(_midnight(date.fromordinal(last.toordinal() + 1))))
        return queryset

    def since(self, moment: datetime) -> Q:
        return Q(updated_at__gte=moment)

    def _day(self, name: str) -> date | None:
        text = self.value_of(name)
        try:
            day = parse_date(text) if text else None
        except ValueError:
            day = None
        if text and (day is None or not date(1970, 1, 2) <= day < date(9999, 12, 30)):
            raise IncorrectLookupParameters
        return day


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class MessageDayFilter(DayFilter):
    """By the id, which begins with the time of its making: the one index that every message is in."""

    def since(self, moment: datetime) -> Q:
        return Q(id__gte=UUID(int=int(moment.timestamp() * 1000) << 80))


MOST_SERVERS_LISTED = 100


class ProviderFilter(admin.SimpleListFilter):
    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        added = ProviderConfig.objects.servers().order_by("provider").values_list("provider", flat=True)
        ids = list(added.distinct()[:MOST_SERVERS_LISTED])
        # Several people may have a server of the same id, each under a name of their own.
        return [*((spec.id, str(spec.name)) for spec in PROVIDERS.values()), *((id_, id_) for id_ in ids)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


class AnsweringFilter(admin.SimpleListFilter):
    title = _("answering now")
    parameter_name = "answering"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", str(_("Yes")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "1":
            return queryset
        return queryset.filter(pk__in=Message.objects.running().values("session_id"))


# --- conversations -------------------------------------------------------------------------------------


def may_read(request: HttpRequest) -> bool:
    """Tell whether somebody may read what people wrote; a title is the beginning of what they wrote."""
    return request.user.has_perm("chat.view_message")


class ReadOnlyAdmin(NamedLookups, admin.ModelAdmin):
    """Rows that can be looked at, and deleted by those who may."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()  # only the one order has an index
    list_per_page = 50
    list_max_show_all = 0
    # What is looked through is decided in get_search_results.
    search_fields = ("pk",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Django also lets those see a row who may change it, which nobody can here.
        return request.user.has_perm(f"chat.view_{self.opts.model_name}")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a transcript where others have a form."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined]
        if not (self.has_view_permission(request, found) and may_read(request)):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": found,
            "has_delete_permission": self.has_delete_permission(request, found),
            "may_view_sessions": request.user.has_perm("chat.view_chatsession"),
            **self.transcript(request, found),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/chat/transcript.html", context)

    def transcript(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        raise NotImplementedError

    @admin.display(description=_("model"))
    def source(self, row: Any) -> str:
        return " · ".join(filter(None, (row.provider, row.model)))


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnlyAdmin):
    list_display = ("shown_title", "user", "source", "mode", "answering", "updated_at")
    lookups = frozenset(
        {
            "answering",
            "archived",
            "from",
            "id",
            "mode",
            "model",
            "pinned",
            "provider",
            "until",
            "user",
            "username",
        }
    )
    list_filter = (UserFilter, ProviderFilter, ModelFilter, AnsweringFilter, "archived", DayFilter)
    list_select_related = ("user",)
    ordering = ("-updated_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatSession]:
        return shown.with_answering(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not (text := search_term.strip()[:MAX_SEARCH_CHARS]):
            return queryset, False
        if found := _as_id(text):
            return queryset.filter(pk=found), False
        if not may_read(request):
            return queryset.none(), False
        newest = queryset.order_by("-updated_at", "-id").values("pk")[:SEARCHED_SESSIONS]
        messages = Message.objects.order_by("-id").values("pk")[:SEARCHED_MESSAGES]
        hits = Message.objects.filter(pk__in=messages, content__icontains=text)
        return (
            queryset.filter(
                Q(pk__in=newest, title__icontains=text) | Q(pk__in=hits.values("session_id")),
            ),
            False,
        )

    def get_list_display(self, request: HttpRequest) -> Any:
        if may_read(request):
            return self.list_display
        return ["id", *self.list_display[1:]]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        # A transcript is for those who may read it.
        return super().get_list_display_links(request, list_display) if may_read(request) else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        by_text = _("In titles and messages, the newest ones that fit the filters; or an id.")
        help_text = by_text if may_read(request) else _("The id of a conversation.")
        response = super().changelist_view(request, extra_context)
        if changelist := getattr(response, "context_data", {}).get("cl"):
            changelist.search_help_text = help_text
        return response

    @admin.display(description=_("title"))
    def shown_title(self, session: ChatSession) -> str:
        return Truncator(session.title).chars(80)

    @admin.display(description=_("answering now"))
    def answering(self, session: Any) -> str | Promise:
        return _("Yes") if session.is_answering else ""

    def transcript(self, request: HttpRequest, found: ChatSession) -> dict[str, Any]:
        rows = found.messages.all()
        given = {name: _as_id(request.GET.get(name, "")) for name in ("at", "after", "before")}
        if given["before"]:
            messages = list(rows.filter(id__lt=given["before"]).order_by("-id")[:TRANSCRIPT_MESSAGES])[::-1]
        else:
            if given["at"]:
                rows = rows.filter(id__gte=given["at"])
            elif given["after"]:
                rows = rows.filter(id__gt=given["after"])
            messages = list(rows.order_by("id")[:TRANSCRIPT_MESSAGES])
        return {
            "title": found.title,
            "session": found,
            "read": _read(found, messages),
            "earlier": messages and found.messages.filter(id__lt=messages[0].id).exists(),
            "later": messages and found.messages.filter(id__gt=messages[-1].id).exists(),
        }

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Django would load every message to list it. They go with their session, unlisted.
        return _to_delete(self, objs, request)

    def delete_model(self, request: HttpRequest, obj: ChatSession) -> None:
        deletions.delete_session(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for session in ChatSession.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))):
            deletions.delete_session(session.pk)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("excerpt", "user", "role", "status", "source", "created_at", "conversation")
    lookups = frozenset({"from", "id", "model", "provider", "role", "session", "status", "until", "username"})
    list_filter = (
        MessageUserFilter,
        "role",
        "status",
        ProviderFilter,
        ModelFilter,
        MessageDayFilter,
    )
    list_select_related = ("session__user",)
    ordering = ("-id",)
    search_help_text = _(
        "In the newest messages that fit the filters; or the id of a message or of a conversation."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        # A list must not load whole answers.
        rows = super().get_queryset(request).defer("content", "reasoning")
        return rows.annotate(beginning=Left("content", EXCERPT_CHARS))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not (text := search_term.strip()[:MAX_SEARCH_CHARS]):
            return queryset, False
        if found := _as_id(text):
            return queryset.filter(Q(pk=found) | Q(session_id=found)), False
        if not may_read(request):
            return queryset.none(), False
        newest = queryset.order_by("-id").values("pk")[:SEARCHED_MESSAGES]
        return queryset.filter(pk__in=newest, content__icontains=text), False

    @admin.display(description=_("content"))
    def excerpt(self, message: Any) -> str:
        return Truncator(" ".join(message.beginning.split())).chars(90) or "—"

    @admin.display(description=_("user"))
    def user(self, message: Message) -> str:
        return str(message.session.user)

    @admin.display(description=_("conversation"))
    def conversation(self, message: Message) -> str:
        address = reverse("admin:chat_chatsession_change", args=[message.session_id])
        title = Truncator(message.session.title).chars(40)
        return format_html('<a href="{}?at={}#m-{}">{}</a>', address, message.pk, message.pk, title)

    def transcript(self, request: HttpRequest, found: Message) -> dict[str, Any]:
        title = _("Message of %(user)s") % {"user": found.session.user}
        return {"title": title, "session": found.session, "read": _read(found.session, [found])}

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        return _to_delete(self, objs, request)

    def delete_model(self, request: HttpRequest, obj: Message) -> None:
        deletions.delete_message(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for pk in sorted(queryset.values_list("pk", flat=True)):
            # What hangs below an earlier one is gone already.
            if message := Message.objects.filter(pk=pk).first():
                deletions.delete_message(message)


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text.strip()) if text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Read:
    """A message in a transcript."""

    shown: shown.ShownMessage
    # Whether the one above it is not what it answers.
    elsewhere: bool


def _read(session: ChatSession, messages: list[Message]) -> list[Read]:
    for message in messages:
        message.session = session
    above: UUID | None = None
    read = []
    for one in shown.show_all(messages, at_end=False):
        read.append(Read(one, elsewhere=one.message.parent_id not in (None, above)))
        above = one.message.id
    return read


def _to_delete(model_admin: Any, objs: Any, request: HttpRequest) -> Any:
    """Return what Django's delete pages ask for, without looking at what hangs below."""
    rows = list(objs[:MOST_ROWS])
    refused = [] if model_admin.has_delete_permission(request) else [str(model_admin.opts.verbose_name)]
    listed = [Truncator(str(row)).chars(100) for row in rows[:100]]
    if len(rows) > len(listed):
        listed.append("…")
    return listed, {model_admin.opts.verbose_name_plural: len(rows)}, set(refused), []


# --- modes ---------------------------------------------------------------------------------------------


@admin.register(Mode)
class ModeAdmin(ShortSearch, admin.ModelAdmin):
    list_display = ("id", "name", "name_en", "description", "temperature", "enabled", "position")
    list_editable = ("enabled", "position")
    search_fields = ("id", "name", "name_en", "description", "description_en")
    fieldsets = (
        (None, {"fields": ("id", ("name", "name_en"), "description", "description_en")}),
        (
            _("What the model is told"),
            {"fields": ("system_prompt", "temperature", "top_p", "max_output_tokens", "reasoning_effort")},
        ),
        (_("In the list"), {"fields": ("enabled", "position")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Mode | None = None) -> tuple[str, ...]:
        # Conversations name their mode by its id.
        return ("id",) if obj else ()
