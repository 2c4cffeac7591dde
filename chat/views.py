"""The chat API. Handlers admit and call; see `chatproject.api` for how they run."""

import re
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chat import admission, branches, deletions, message_pages, openapi, refusals, runtime, services, streams
from chat.answers import STOPPED, Outlet, running
from chat.choosing import provider_and_model
from chat.events import START, EventId, parse_id
from chat.models import ChatSession, ChatSessionQuerySet, Message, MessageQuerySet, Mode
from chat.paging import flag, page
from chat.responses import EventStreamResponse
from chat.serializers import (
    AskSerializer,
    BranchSerializer,
    ContinueSerializer,
    EditSerializer,
    MessageSerializer,
    ModeSerializer,
    NewSessionSerializer,
    RegenerateSerializer,
    SessionSerializer,
    StreamedSerializer,
    TitleSerializer,
)
from chat.siblings import siblings_of
from chat.titles import NEW_CHAT
from chat.whole import whole
from chatproject import limits
from chatproject.api import AsyncAPIView, Continuation, StreamNegotiation
from providers.resolve import resolve
from providers.text import clean_text

_KEY = re.compile(r"[A-Za-z0-9:_-]{1,128}")
STOP_SECONDS = 5
# Conversations without a message count towards no other limit.
NEW_SESSIONS_RATE = "120/m"


def session_id_of(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise refusals.SessionNotFound from None


def message_id_of(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise refusals.MessageNotFound from None


# --- what starts an answer ------------------------------------------------------------------------


class AnswerView(AsyncAPIView):
    """Starts an answer and streams it."""

    content_negotiation_class = StreamNegotiation

    # What the body may hold.
    body: type[StreamedSerializer] = StreamedSerializer

    def open(
        self, asked: admission.Asked, data: dict[str, Any], **kwargs: Any
    ) -> services.Turn | admission.Replay:
        """Open the turn of a request whose body is `data`."""
        raise NotImplementedError

    def post(self, request: Request, **kwargs: Any) -> Continuation | Response:
        if runtime.draining:
            raise refusals.ShuttingDown
        asked = asked_by(request, **kwargs)
        try:
            data = _valid(self.body, request)
        except ValidationError:
            _look_up(request, **kwargs)
            raise
        turn = self.open(asked, data, **kwargs)
        if isinstance(turn, admission.Replay):
            if not Message.objects.filter(pk=turn.message_id).exists():
                raise refusals.MessageNotFound  # deleted since
            if not data["stream"]:
                return self.whole(turn.message_id)
            return self.go_on(place_in(request, turn))
        # The turn is stored, so its answer must begin even if the client has gone by now.
        begun = Begun(turn)
        if not data["stream"]:
            return self.whole(turn.opening.message_id, begin=begun.begin)
        return self.stream(begun.follow, begin=begun.begin, outlet=begun.outlet)

    def whole(self, message_id: UUID, begin: Callable[[], None] | None = None) -> Continuation:
        """Give the answer as one JSON object, once it has ended."""
        return Continuation(self, lambda: whole(message_id), begin=begin)

    def go_on(self, last: EventId) -> Continuation | Response:
        """Stream what follows an event: nothing, where the reader has seen the end of the answer."""
        if last.ended:
            # Some clients reconnect after every end of a stream, and stop only at this status.
            return Response(status=204)
        return self.stream(lambda: streams.follow_stored(last.message_id, last.position))

    def stream(
        self,
        follow: Callable[[], AsyncGenerator[bytes, None]],
        begin: Callable[[], None] | None = None,
        outlet: Outlet | None = None,
    ) -> Continuation:
        async def respond() -> EventStreamResponse:
            return EventStreamResponse(follow(), outlet)

        return Continuation(self, respond, begin=begin)


def _look_up(request: Request, session_id: str | None = None, message_id: str | None = None) -> None:
    """Refuse a path that leads to nothing of the caller's, before anything is said of the body."""
    if session_id is not None:
        own_session(request, session_id)
    if message_id is not None:
        wanted = message_id_of(message_id)
        if not Message.objects.for_user(request.user).filter(pk=wanted).exists():
            raise refusals.MessageNotFound


def last_event(request: Request) -> EventId | None:
    return parse_id(request.headers.get("Last-Event-ID", "").strip())


def place_in(request: Request, turn: admission.Replay) -> EventId:
    """Return where a repeat goes on: a client that repeats a request by itself says what it has already."""
    first = EventId(turn.message_id, turn.start)
    last = last_event(request)
    if last is None or last.message_id != turn.message_id:
        return first
    # A continuation starts where the answer ended before: that end is not the end of the continuation.
    return first if last.position[:2] == turn.start[:2] != START[:2] else last


class Begun:
    """A turn on its way from the database thread to the event loop."""

    def __init__(self, turn: services.Turn) -> None:
        self.turn = turn
        self.outlet = Outlet()

    def begin(self) -> None:
        self.answer = runtime.begin(self.turn)

    def follow(self) -> AsyncGenerator[bytes, None]:
        return streams.follow(self.answer, self.answer.start, self.outlet)


def asked_by(request: Request, **kwargs: Any) -> admission.Asked:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise refusals.IdempotencyKeyInvalid
    print_ = admission.fingerprint(request.path, request.data) if key else ""
    limit = {"group": "answers", "key": str(request.user.pk), "rate": settings.CHAT_RATE_LIMIT}
    return admission.Asked(
        request.user,
        lambda: limits.count(request, **limit),
        key or "",
        print_,
        limits.counting(request, **limit),
        getattr(request.auth, "admits", lambda user: user.is_active),
    )


@openapi.stream
class StreamView(AnswerView):
    """Answer a message as server-sent events, in a new conversation or in one of the user's own."""

    # Whoever asks is read with all else that opening a turn takes.
    admits_users = frozenset({"POST"})

    def post(self, request: Request, **kwargs: Any) -> Continuation | Response:
        try:
            return super().post(request, **kwargs)
        except APIException:
            # Whom nobody lets in is told that, and not what else is wrong.
            _let_in(request)
            raise

    body = AskSerializer

    def open(
        self, asked: admission.Asked, data: dict[str, Any], **kwargs: Any
    ) -> services.Turn | admission.Replay:
        session_id = session_id_of(data["sessionId"]) if data.get("sessionId") else None
        if not asked.key and (begun := _begun_before(self.request, data["message"], session_id)):
            return begun
        return services.open_turn(
            asked,
            message=data["message"],
            provider=data.get("provider") or "",
            model=data.get("model") or "",
            mode=data["mode"],
            session_id=session_id,
            context=data.get("context"),
        )


def _let_in(request: Request) -> None:
    """Refuse a bearer token that has ended, where the turn is not opened that would find out."""
    if (admits := getattr(request.auth, "admits", None)) is None:
        return  # not by a token
    user = get_user_model().objects.filter(pk=str(request.user.pk)).first()
    if user is None or not admits(user):
        raise AuthenticationFailed


def _begun_before(request: Request, message: str, session_id: UUID | None) -> admission.Replay | None:
    """Return the answer that this very request has begun before, going by the last event that is named.

    Libraries that repeat a cut POST by themselves send that, but no key. It may also be a header that
    somebody forgot to take away: then it does not belong to this question.
    """
    last = last_event(request)
    if last is None:
        return None
    _let_in(request)
    answers = Message.objects.for_user(request.user).filter(pk=last.message_id)
    answers = answers.filter(parent__role=Message.Role.USER, parent__content=message)
    # Without a conversation the request began one.
    answers = answers.filter(session_id=session_id) if session_id else answers.filter(parent__parent=None)
    return admission.Replay(last.message_id, START) if answers.exists() else None


@openapi.regenerate
class RegenerateView(AnswerView):
    """Answer the same user message again; the earlier answer is kept beside the new one."""

    body = RegenerateSerializer

    def open(
        self, asked: admission.Asked, data: dict[str, Any], **kwargs: Any
    ) -> services.Turn | admission.Replay:
        message_id = message_id_of(data["messageId"]) if data.get("messageId") else None
        return services.open_regeneration(
            asked,
            session_id=session_id_of(kwargs["session_id"]),
            message_id=message_id,
            provider=data["provider"],
            model=data["model"],
            context=data.get("context"),
        )


@openapi.edit
class EditView(AnswerView):
    """Begin a new branch with another wording of a user message."""

    body = EditSerializer

    def open(
        self, asked: admission.Asked, data: dict[str, Any], **kwargs: Any
    ) -> services.Turn | admission.Replay:
        return services.open_edit(
            asked,
            message_id=message_id_of(kwargs["message_id"]),
            message=data["message"],
            context=data.get("context"),
        )


@openapi.go_on
class ContinueView(AnswerView):
    """Go on where a cut answer ended; the same message grows."""

    body = ContinueSerializer

    def open(
        self, asked: admission.Asked, data: dict[str, Any], **kwargs: Any
    ) -> services.Turn | admission.Replay:
        return services.open_continuation(asked, message_id=message_id_of(kwargs["message_id"]))


def _valid(serializer_class: type[Any], request: Request) -> dict[str, Any]:
    try:
        kept = _kept(serializer_class)  # type: ignore[arg-type]  # a class is hashable
        return dict(kept.run_validation(request.data))
    except ValidationError:
        # A validator keeps the first wording of its text that was asked for: errors come from a new one.
        serializer = serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


@cache
def _kept(serializer_class: type[Any]) -> Any:
    """Return a serializer that only reads. To make one costs several times what it does with a request."""
    return serializer_class()


@openapi.resume
class ResumeView(AnswerView):
    """Follow the running answer of a conversation, from `Last-Event-ID` or from its start."""

    http_method_names = ["get", "options"]

    def get(self, request: Request, session_id: str) -> Continuation | Response:
        session = own_session(request, session_id)
        last = last_event(request)
        if last is not None and (last.ended or _answers(session).filter(pk=last.message_id).exists()):
            return self.go_on(last)
        running_id = _answers(session).running().values_list("id", flat=True).first()
        return Response(status=204) if running_id is None else self.go_on(EventId(running_id, START))


def _answers(session: ChatSession) -> MessageQuerySet:
    answers: MessageQuerySet = session.messages.filter(role=Message.Role.ASSISTANT)
    return answers


@openapi.stop
class StopView(AsyncAPIView):
    """End the running answer of a conversation, and keep what had arrived."""

    def post(self, request: Request, session_id: str) -> Continuation | Response:
        session = own_session(request, session_id)
        message_id = request_stop(session.messages.all())
        if message_id is None:
            return Response({"stopped": False})

        async def respond() -> Response:
            await streams.until_ended(message_id, STOP_SECONDS)
            return Response({"stopped": True})

        return Continuation(self, respond, begin=lambda: stop_here(message_id))


def request_stop(messages: QuerySet[Message]) -> UUID | None:
    """Ask whichever process runs one of these messages to stop; return the message's id."""
    message_id = messages.filter(status=Message.Status.STREAMING).values_list("id", flat=True).first()
    if message_id is None:
        return None
    Message.objects.filter(pk=message_id).update(stop_requested=True)
    return message_id


def stop_here(message_id: UUID | None) -> None:
    """Stop an answer at once where it runs in this process; elsewhere the request is heard soon."""
    if message_id is not None and (answer := running.get(message_id)) is not None:
        answer.stop(STOPPED)


# --- conversations --------------------------------------------------------------------------------


def own_session(request: Request, session_id: str) -> ChatSession:
    session = ChatSession.objects.for_user(request.user).filter(pk=session_id_of(session_id)).first()
    if session is None:
        raise refusals.SessionNotFound
    return session


@openapi.sessions
class ChatSessionViewSet(AsyncAPIView, GenericViewSet[ChatSession]):  # type: ignore[misc]  # as_view
    """The caller's own conversations."""

    revalidates = True
    serializer_class = SessionSerializer
    lookup_url_kwarg = "session_id"

    def get_queryset(self) -> ChatSessionQuerySet:
        answering = Message.objects.running().filter(session=OuterRef("pk"))
        sessions: ChatSessionQuerySet = ChatSession.objects.for_user(self.request.user)
        return sessions.annotate(is_answering=Exists(answering))

    def list(self, request: Request) -> Response:
        sessions = self.get_queryset().order_by("-updated_at", "-id")
        if request.query_params.get("archived") != "all":
            sessions = sessions.filter(archived=flag(request, "archived") or False)
        if provider := request.query_params.get("provider"):
            sessions = sessions.filter(provider=clean_text(provider))
        # SQLite takes no pattern of 50,000 bytes; nobody searches for that much.
        if text := clean_text(request.query_params.get("q", "")).strip()[:200]:
            sessions = sessions.matching(text)
        found, after = page(
            request, sessions, after=_sessions_after, cursor_of=_session_cursor, default=50, most=200
        )
        return Response({"sessions": self.get_serializer(found, many=True).data, "next": after})

    def create(self, request: Request) -> Response:
        data = _valid(NewSessionSerializer, request)
        user: Any = request.user  # IsAuthenticated let them in
        limits.count(request, group="sessions", key=str(user.pk), rate=NEW_SESSIONS_RATE)
        provider, model = provider_and_model(user, None, data.get("provider") or "", data.get("model") or "")
        resolve(user, provider)
        services.get_mode(data["mode"])
        if "context" in data:
            services.remember_context(user, data["context"])
        session = ChatSession.objects.create(
            user=user,
            title=data["title"] or NEW_CHAT,
            provider=provider,
            model=model,
            mode=data["mode"],
            context=data.get("context") or user.context,
        )
        return Response(self.get_serializer(session).data, status=201)

    def retrieve(self, request: Request, session_id: str) -> Response:
        return Response(self.get_serializer(own_session(request, session_id)).data)

    def partial_update(self, request: Request, session_id: str) -> Response:
        session = own_session(request, session_id)
        serializer = self.get_serializer(session, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changes = serializer.validated_data
        if "mode" in changes:
            services.get_mode(changes["mode"])
        if "provider" in changes:
            resolve(request.user, changes["provider"])
        if "context" in changes:
            services.remember_context(request.user, changes["context"])
        for name, value in changes.items():
            setattr(session, name, value)
        # An update by key, so that a session deleted meanwhile does not come back.
        ChatSession.objects.filter(pk=session.pk).update(**changes)
        return Response(self.get_serializer(session).data)

    def destroy(self, request: Request, session_id: str) -> Continuation:
        session = own_session(request, session_id)
        stopped = deletions.delete_session(session.pk, unchanged_since(request))

        async def respond() -> Response:
            return Response({"success": True})

        return Continuation(self, respond, begin=lambda: stop_here(stopped))


def unchanged_since(request: Request) -> datetime | None:
    """Return the `updatedAt` on which a client makes its deletion depend."""
    text = request.query_params.get("unchangedSince")
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # no time, or one that leads out of the calendar
    raise ValidationError({"unchangedSince": [_("Send a time with its offset, such as an updatedAt.")]})


def _session_cursor(session: ChatSession) -> list[str]:
    return [session.updated_at.isoformat(), str(session.id)]


def _sessions_after(sessions: QuerySet[ChatSession], values: list[str]) -> QuerySet[ChatSession]:
    moment = parse_datetime(values[0])
    # Ours are all in UTC; another offset may lead out of what a database can hold.
    if moment is None or moment.utcoffset() != timedelta(0):
        raise ValueError(values[0])
    return sessions.filter(updated_at__lte=moment).filter(
        Q(updated_at__lt=moment) | Q(id__lt=UUID(values[1]))
    )


@openapi.title
class TitleView(AsyncAPIView):
    """Rename a conversation."""

    def put(self, request: Request, session_id: str) -> Response:
        session = own_session(request, session_id)
        data = _valid(TitleSerializer, request)
        ChatSession.objects.filter(pk=session.pk).update(title=data["title"])
        return Response({"success": True})


@openapi.branch
class BranchView(AsyncAPIView):
    """Choose the branch that holds a message."""

    def put(self, request: Request, session_id: str) -> Response:
        session = own_session(request, session_id)
        message_id = message_id_of(_valid(BranchSerializer, request)["messageId"])
        with transaction.atomic():
            deletions.lock_session(session.pk)
            if not session.messages.filter(pk=message_id).exists():
                raise refusals.MessageNotFound
            branches.choose_branch_of(session.id, message_id)
        return Response({"success": True})


# --- messages -------------------------------------------------------------------------------------


@openapi.messages
class SessionMessagesView(AsyncAPIView):
    """The messages of a conversation: those of the chosen branch, or of every branch."""

    revalidates = True

    def get(self, request: Request, session_id: str) -> Response:
        found, after = message_pages.read(request, own_session(request, session_id))
        context = {"siblings": siblings_of(found)}
        serializer = MessageSerializer(found, many=True, context=context)
        return Response({"messages": serializer.data, "next": after})


@openapi.message
class MessageView(AsyncAPIView):
    """One message; deleting it deletes what hangs below it."""

    def delete(self, request: Request, message_id: str) -> Continuation:
        wanted = message_id_of(message_id)
        message = Message.objects.for_user(request.user).filter(pk=wanted).first()
        if message is None:
            raise refusals.MessageNotFound
        stopped = deletions.delete_message(message, unchanged_since(request))

        async def respond() -> Response:
            return Response({"success": True})

        return Continuation(self, respond, begin=lambda: stop_here(stopped))


@openapi.modes
class ModesView(AsyncAPIView):
    """The ways of answering that can be chosen."""

    revalidates = True

    def get(self, request: Request) -> Response:
        modes = list(Mode.objects.filter(enabled=True))
        if not any(mode.id == services.NORMAL_MODE for mode in modes):
            modes.insert(0, services.get_mode(services.NORMAL_MODE))
        return Response({"modes": ModeSerializer(modes, many=True).data})
