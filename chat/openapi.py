"""The chat API's description: one decorator per view, and a component per event of the stream."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_serializer,
)
from drf_spectacular.utils import extend_schema as operation
from drf_spectacular.utils import extend_schema_view as describe
from rest_framework import serializers

from chat import notices, refusals
from chat.serializers import (
    AskSerializer,
    BranchSerializer,
    ContextSerializer,
    ContinueSerializer,
    EditSerializer,
    MessageErrorSerializer,
    MessageSerializer,
    ModeSerializer,
    NewSessionSerializer,
    RegenerateSerializer,
    SessionSerializer,
    TitleSerializer,
    UsageSerializer,
    WholeAnswerSerializer,
)
from chatproject.errors import Throttled
from chatproject.openapi import InvalidInput, SuccessSerializer, responses
from providers.errors import ProviderError, ProviderOverloaded, ProviderTimeout
from providers.openapi import PROVIDER_PATTERN
from providers.resolve import ProviderKeyUnreadable, ProviderNotConfigured, ProviderUnknown

# --- the event stream --------------------------------------------------------------------------------------


class EventType(serializers.Field):
    """Always the event's own name: what tells the events of the union from each other."""

    def __init__(self, event: str) -> None:
        super().__init__()
        self.event = event


class EventTypeExtension(OpenApiSerializerFieldExtension):
    target_class = EventType

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "const": self.target.event}


class SessionEvent(serializers.Serializer[Any]):
    """Where the answer is kept. First, always; again where `reset` is true."""

    type = EventType("session")
    sessionId = serializers.UUIDField()
    messageId = serializers.UUIDField(help_text="The answer.")
    userMessageId = serializers.UUIDField(allow_null=True, help_text="What is being answered.")
    title = serializers.CharField(help_text="The conversation's.")
    context = ContextSerializer(allow_null=True)  # type: ignore[assignment]  # DRF takes fields out of the class
    reset = serializers.BooleanField(
        required=False,
        help_text=(
            "Where it is true, forget what you have of this answer: it follows from its start. "
            "A crash has cost text that `Last-Event-ID` named, or what came as content was reasoning."
        ),
    )


class ReasoningEvent(serializers.Serializer[Any]):
    """A piece of the model's visible reasoning."""

    type = EventType("reasoning")
    content = serializers.CharField()


class MessageEvent(serializers.Serializer[Any]):
    """A piece of the answer. Joined together, the pieces are the stored message, to the character."""

    type = EventType("message")
    content = serializers.CharField()


class DoneEvent(serializers.Serializer[Any]):
    """How an answer ended that is whole, or that its user stopped. Last."""

    type = EventType("done")
    messageId = serializers.UUIDField()
    finishReason = serializers.CharField(
        allow_null=True,
        help_text="`stop`, `length`, `content_filter`, `refusal`, `tool_calls`, `other`, or `stopped`.",
    )
    usage = UsageSerializer(allow_null=True)
    responseTime = serializers.IntegerField(allow_null=True, help_text="Milliseconds.")
    status = serializers.CharField(help_text="`complete` or `stopped`.")
    notice = serializers.ChoiceField(
        list(notices.TEXTS), required=False, help_text="Why the answer has no text."
    )
    servedModel = serializers.CharField(
        required=False, help_text="The model that answered, where that is another one than was asked."
    )


class ErrorEvent(MessageErrorSerializer):
    """Why an answer broke off. Last. What had arrived is stored with the message."""

    type = EventType("error")
    messageId = serializers.UUIDField()


EVENTS: dict[str, tuple[str, type[serializers.Serializer[Any]]]] = {
    "session": ("First, always. Again where `reset` is true.", SessionEvent),
    "reasoning": ("Whenever the model shows some of its reasoning.", ReasoningEvent),
    "message": ("Whenever some of the answer has arrived.", MessageEvent),
    "done": ("Last, where all went well or the user stopped the answer.", DoneEvent),
    "error": ("Last, where the answer broke off.", ErrorEvent),
}
EVENT_ID = (
    "A reader's position: give the last one as `Last-Event-ID` to go on from there. After that of the end, "
    "nothing follows: the status is 204. Opaque."
)


class ServerSentEvent(serializers.Serializer[Any]):
    """Stands for one event of the stream; `ServerSentEventExtension` describes it."""


class ServerSentEventExtension(OpenApiSerializerExtension):
    target_class = ServerSentEvent

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the frame of an event; its data is a component, the union of all events."""
        data = {
            name: auto_schema.resolve_serializer(event, "response").ref for name, (_, event) in EVENTS.items()
        }
        mapping = {name: reference["$ref"] for name, reference in data.items()}
        union = ResolvedComponent(
            name="StreamEvent",
            type=ResolvedComponent.SCHEMA,
            object="StreamEvent",
            schema={
                "oneOf": list(data.values()),
                "discriminator": {"propertyName": "type", "mapping": mapping},
            },
        )
        auto_schema.registry.register_on_missing(union)
        return {
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": EVENT_ID},
                "event": {"type": "string", "description": "The `type` of the data."},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": union.ref,
                },
            },
            "required": ["id", "event", "data"],
        }


class WordingExtension(OpenApiSerializerFieldExtension):
    """The longest message is a setting, so the field itself does not know it."""

    target_class = "chat.serializers.Wording"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        limit = settings.CHAT_MAX_MESSAGE_CHARS
        return {"type": "string", "minLength": 1, "maxLength": limit, "pattern": r"\S"}


class LineExtension(OpenApiSerializerFieldExtension):
    """A line is trimmed before it is judged: blanks alone are as good as nothing."""

    target_class = "chat.serializers.Line"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string", "maxLength": self.target.max_length}
        if direction == "request" and self.target.field_name == "provider":
            pattern = f"^$|{PROVIDER_PATTERN}" if self.target.allow_blank else PROVIDER_PATTERN
            return {"type": "string", "pattern": pattern}
        if direction == "request" and not self.target.allow_blank:
            schema |= {"minLength": 1, "pattern": r"\S"}
        return schema


_ANSWER = "01a0c3c9-6f6e-7d00-8000-9d5b6f1c2a33"
STREAM_EXAMPLE = f"""\
id: {_ANSWER}:0-0
event: session
data: {{"type":"session","sessionId":"01a0c3c9-6f6d-7d00-8000-4f1f0a6f7b11","messageId":"{_ANSWER}",\
"userMessageId":"01a0c3c9-6f6e-7c00-8000-1c8ad0e2f522","title":"Hello",\
"context":{{"sent":1,"omitted":0,"firstMessageId":"01a0c3c9-6f6e-7c00-8000-1c8ad0e2f522"}}}}

id: {_ANSWER}:0-5
event: message
data: {{"type":"message","content":"Hello"}}

id: {_ANSWER}:0-7
event: message
data: {{"type":"message","content":" !"}}

id: {_ANSWER}:0-7.end
event: done
data: {{"type":"done","messageId":"{_ANSWER}","finishReason":"stop",\
"usage":{{"inputTokens":9,"outputTokens":2}},"responseTime":421,"status":"complete"}}
"""

# Tools that do not know `itemSchema` yet show this at least.
_TABLE = "\n".join(f"| `{name}` | {when} |" for name, (when, _) in EVENTS.items())
EVENT_STREAM = OpenApiResponse(
    ServerSentEvent,
    description=(
        "The answer as server-sent events. Exactly one of `done` and `error` ends it. Lines that begin "
        "with a colon only keep the connection open.\n\n"
        f"| event | when |\n| --- | --- |\n{_TABLE}\n\n```\n{STREAM_EXAMPLE}```"
    ),
)
STREAM = {(200, "text/event-stream"): EVENT_STREAM}
WHOLE = {
    (200, "application/json"): OpenApiResponse(
        WholeAnswerSerializer, description="The finished answer, where the body says `stream: false`."
    )
}
# How an answer may fail, where it is not streamed.
FAILURES = (ProviderError, ProviderOverloaded, ProviderTimeout)
STARTED = STREAM | WHOLE | {204: OpenApiResponse(description="`Last-Event-ID` names the end of this answer.")}

# --- what operations share ---------------------------------------------------------------------------------

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[A-Za-z0-9:_-]{1,128}$"},
    OpenApiParameter.HEADER,
    description=(
        "A name of your own for this request. The same key never starts a second answer, for two days: "
        "a repeat follows the answer that the first request started, from its start or, with "
        "`Last-Event-ID`, from just after that event."
    ),
)
LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description="The `id` of the last event that arrived. Without it the stream begins at the start.",
)
REPEATED_FROM = OpenApiParameter(
    "Last-Event-ID",
    str,
    OpenApiParameter.HEADER,
    description=(
        "In a repeat: the `id` of the last event that arrived. The answer goes on just after it; without an "
        "`Idempotency-Key` only where that event belongs to an answer to the same message in the same "
        "conversation."
    ),
)
SESSION_ID = OpenApiParameter(
    "session_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The conversation."
)
MESSAGE_ID = OpenApiParameter(
    "message_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The message."
)
UNCHANGED_SINCE = OpenApiParameter(
    "unchangedSince",
    OpenApiTypes.DATETIME,
    description=(
        "The conversation's `updatedAt` as the client knows it. If a question, an answer or a continuation "
        "has begun since then, nothing is deleted and the status is 409."
    ),
)
CURSOR = OpenApiParameter("cursor", str, description="`next` of the page before.")


def limit(most: int, default: int) -> OpenApiParameter:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return OpenApiParameter("limit", schema, description="How many at most.")


# What everything that starts an answer may refuse.
STARTING = (
    ProviderUnknown,
    ProviderNotConfigured,
    ProviderKeyUnreadable,
    refusals.IdempotencyKeyInvalid,
    refusals.AnswerInProgress,
    refusals.IdempotencyConflict,
    Throttled,
    refusals.TooManyRunning,
    refusals.StorageQuotaExceeded,
    refusals.ShuttingDown,
    InvalidInput,
    *FAILURES,
)


@extend_schema_serializer(many=False)
class SessionListSerializer(serializers.Serializer[Any]):
    sessions = SessionSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` for the next page, if there is one.")


class MessageListSerializer(serializers.Serializer[Any]):
    messages = MessageSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` for the next page, if there is one.")


class ModeListSerializer(serializers.Serializer[Any]):
    modes = ModeSerializer(many=True)


class StoppedSerializer(serializers.Serializer[Any]):
    stopped = serializers.BooleanField(help_text="Whether there was an answer to stop.")


# --- answers -----------------------------------------------------------------------------------------------

stream = describe(
    post=operation(
        operation_id="streamAnswer",
        tags=["Answers"],
        summary="Ask, and stream the answer",
        parameters=[IDEMPOTENCY_KEY, REPEATED_FROM],
        request=AskSerializer,
        responses=responses(
            STARTED,
            *STARTING,
            refusals.ModeUnknown,
            refusals.SessionNotFound,
            refusals.MessageNotFound,
        ),
        examples=[
            OpenApiExample(
                "A new conversation",
                {"message": "Hello", "provider": "demo", "model": "demo"},
                request_only=True,
            ),
            OpenApiExample(
                "Going on",
                {
                    "message": "And in Chinese?",
                    "provider": "demo",
                    "model": "demo",
                    "sessionId": "01a0c3c9-6f6d-7d00-8000-4f1f0a6f7b11",
                },
                request_only=True,
            ),
        ],
    )
)

resume = describe(
    get=operation(
        operation_id="resumeAnswer",
        tags=["Answers"],
        summary="Follow an answer",
        description=(
            "Follow the running answer of a conversation: from just after `Last-Event-ID`, or from its "
            "start. Where the answer that the event belongs to has ended since, the rest of it and its end."
        ),
        parameters=[SESSION_ID, LAST_EVENT_ID],
        responses=responses(
            {**STREAM, 204: OpenApiResponse(description="Nothing is running and nothing is missing.")},
            refusals.SessionNotFound,
        ),
    )
)

stop = describe(
    post=operation(
        operation_id="stopAnswer",
        tags=["Answers"],
        summary="Stop the running answer",
        parameters=[SESSION_ID],
        request=None,
        responses=responses({200: StoppedSerializer}, refusals.SessionNotFound),
    )
)

regenerate = describe(
    post=operation(
        operation_id="regenerateAnswer",
        tags=["Answers"],
        summary="Answer the same message again",
        parameters=[SESSION_ID, IDEMPOTENCY_KEY],
        request=RegenerateSerializer,
        responses=responses(STARTED, *STARTING, refusals.SessionNotFound, refusals.MessageNotFound),
    )
)

edit = describe(
    post=operation(
        operation_id="editMessage",
        tags=["Answers"],
        summary="Ask in other words",
        parameters=[MESSAGE_ID, IDEMPOTENCY_KEY],
        request=EditSerializer,
        responses=responses(STARTED, *STARTING, refusals.MessageNotFound, refusals.NotAUserMessage),
    )
)

go_on = describe(
    post=operation(
        operation_id="continueAnswer",
        tags=["Answers"],
        summary="Go on with a cut answer",
        parameters=[MESSAGE_ID, IDEMPOTENCY_KEY],
        request=ContinueSerializer,
        responses=responses(STARTED, *STARTING, refusals.MessageNotFound, refusals.NotContinuable),
    )
)

# --- conversations -----------------------------------------------------------------------------------------

sessions = describe(
    list=operation(
        operation_id="listSessions",
        tags=["Conversations"],
        summary="List conversations",
        description="One's own conversations, the one that was used last first.",
        parameters=[
            OpenApiParameter("q", str, description="Only those with this text in the title or a message."),
            OpenApiParameter("provider", str, description="Only those that used this provider last."),
            OpenApiParameter(
                "archived",
                str,
                enum=["false", "true", "0", "1", "all"],
                default="false",
                description="Those in use, those that were archived, or both.",
            ),
            CURSOR,
            limit(200, 50),
        ],
        responses=responses({200: SessionListSerializer}, InvalidInput),
    ),
    create=operation(
        operation_id="createSession",
        tags=["Conversations"],
        summary="Begin a conversation without a message",
        request=NewSessionSerializer,
        responses=responses(
            {201: SessionSerializer},
            ProviderUnknown,
            ProviderNotConfigured,
            ProviderKeyUnreadable,
            refusals.ModeUnknown,
        ),
    ),
    retrieve=operation(
        operation_id="getSession",
        tags=["Conversations"],
        summary="Get a conversation",
        parameters=[SESSION_ID],
        responses=responses({200: SessionSerializer}, refusals.SessionNotFound),
    ),
    partial_update=operation(
        operation_id="updateSession",
        tags=["Conversations"],
        summary="Change a conversation",
        parameters=[SESSION_ID],
        request=SessionSerializer,
        responses=responses(
            {200: SessionSerializer},
            ProviderUnknown,
            ProviderNotConfigured,
            ProviderKeyUnreadable,
            refusals.ModeUnknown,
            refusals.SessionNotFound,
        ),
    ),
    destroy=operation(
        operation_id="deleteSession",
        tags=["Conversations"],
        summary="Delete a conversation",
        description="Delete a conversation and its messages. A running answer is stopped first.",
        parameters=[SESSION_ID, UNCHANGED_SINCE],
        responses=responses(
            {200: SuccessSerializer}, InvalidInput, refusals.SessionNotFound, refusals.SessionChanged
        ),
    ),
)

title = describe(
    put=operation(
        operation_id="renameSession",
        tags=["Conversations"],
        summary="Rename a conversation",
        parameters=[SESSION_ID],
        request=TitleSerializer,
        responses=responses({200: SuccessSerializer}, refusals.SessionNotFound),
    )
)

branch = describe(
    put=operation(
        operation_id="chooseBranch",
        tags=["Conversations"],
        summary="Choose the branch that holds a message",
        parameters=[SESSION_ID],
        request=BranchSerializer,
        responses=responses({200: SuccessSerializer}, refusals.SessionNotFound, refusals.MessageNotFound),
    )
)

# --- messages ----------------------------------------------------------------------------------------------

messages = describe(
    get=operation(
        operation_id="listMessages",
        tags=["Messages"],
        summary="List the messages of a conversation",
        description=(
            "The messages of the chosen branch, or of every branch. A page has at most `limit` messages and "
            "a megabyte of text, but at least one message; `next` leads to the rest."
        ),
        parameters=[
            SESSION_ID,
            OpenApiParameter(
                "branches",
                str,
                description="`all` lists every branch, not only the chosen one.",
            ),
            OpenApiParameter(
                "order", str, enum=["asc", "desc"], description="Oldest first, the default, or newest first."
            ),
            OpenApiParameter(
                "before",
                OpenApiTypes.UUID,
                description=(
                    "Only messages before this one. Without `order` and `after`: those just before it, "
                    "oldest first, and `next` leads further up."
                ),
            ),
            OpenApiParameter("after", OpenApiTypes.UUID, description="Only messages after this one."),
            CURSOR,
            limit(1000, 200),
        ],
        responses=responses({200: MessageListSerializer}, InvalidInput, refusals.SessionNotFound),
    )
)

message = describe(
    delete=operation(
        operation_id="deleteMessage",
        tags=["Messages"],
        summary="Delete a message and what hangs below it",
        parameters=[MESSAGE_ID, UNCHANGED_SINCE],
        responses=responses(
            {200: SuccessSerializer}, InvalidInput, refusals.MessageNotFound, refusals.SessionChanged
        ),
    )
)

modes = describe(
    get=operation(
        operation_id="listModes",
        tags=["Answers"],
        summary="List the ways of answering",
        responses=responses({200: ModeListSerializer}),
    )
)
