"""The shapes of the chat API. Keys are camelCase; what they mean is in the contract of the models."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat import faults, notices
from chat.models import ChatSession, ContextChoice, Message, Mode
from chat.siblings import Siblings
from chat.strict import Flag, Strict
from providers.text import clean_text


class Text(serializers.CharField):
    """Text as somebody wrote it: kept as it is, but for what no database can hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
        # DRF refuses NUL; here it is removed, like everything else that could not be stored.
        self.validators = [
            v for v in self.validators if type(v).__name__ != "ProhibitNullCharactersValidator"
        ]
        self.validators = [
            v for v in self.validators if type(v).__name__ != "ProhibitSurrogateCharactersValidator"
        ]

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return clean_text(data)


class Wording(Text):
    """What a user says to a model."""

    default_error_messages = {"max_length": _("The message is too long: at most {max_length} characters.")}

    def run_validation(self, data: Any = serializers.empty) -> Any:
        text = super().run_validation(data)
        limit = settings.CHAT_MAX_MESSAGE_CHARS
        if isinstance(text, str) and len(text) > limit:
            self.fail("max_length", max_length=limit)
        if isinstance(text, str) and not text.strip():
            self.fail("blank")
        return text


class Line(serializers.CharField):
    """A name or title: one line of cleaned, trimmed text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return clean_text(data).strip()

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            data = clean_text(data)
        return super().run_validation(data)


class StreamedSerializer(Strict):
    """What everything that starts an answer takes."""

    stream = Flag(default=True, help_text="`false`: the finished answer comes as one JSON object.")


class ContextField(serializers.ChoiceField):
    """How much of the conversation the model is sent; a choice is kept for the next conversation."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(ContextChoice.choices, **kwargs)


class AskSerializer(StreamedSerializer):
    message = Wording()
    provider = Line(max_length=50, required=False, allow_blank=True, allow_null=True)
    model = Line(max_length=200, required=False, allow_blank=True, allow_null=True)
    sessionId = serializers.CharField(required=False, allow_null=True, max_length=100)
    mode = Line(max_length=50, default="normal", allow_null=True)
    context = ContextField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class

    def validate_mode(self, mode: str | None) -> str:
        return mode or "normal"


class RegenerateSerializer(StreamedSerializer):
    messageId = serializers.CharField(required=False, allow_null=True, max_length=100)
    provider = Line(max_length=50, required=False, allow_blank=True, default="")
    model = Line(max_length=200, required=False, allow_blank=True, default="")
    context = ContextField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class


class EditSerializer(StreamedSerializer):
    message = Wording()
    context = ContextField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class


class ContinueSerializer(StreamedSerializer):
    pass


class TitleSerializer(Strict):
    title = Line(min_length=1, max_length=200)


class BranchSerializer(Strict):
    messageId = serializers.CharField(max_length=100)


class SessionSerializer(Strict, serializers.ModelSerializer[ChatSession]):
    """A conversation, without its messages."""

    title = Line(min_length=1, max_length=200)
    provider = Line(max_length=50)
    model = Line(max_length=200)
    mode = Line(max_length=50)
    context = ContextField()  # type: ignore[assignment]  # DRF takes fields out of the class
    createdAt = serializers.DateTimeField(source="created_at", read_only=True)
    updatedAt = serializers.DateTimeField(source="updated_at", read_only=True)
    answering = serializers.SerializerMethodField(help_text="Whether an answer is being written now.")

    class Meta:
        model = ChatSession
        fields = [
            "id",
            "title",
            "provider",
            "model",
            "mode",
            "context",
            "archived",
            "pinned",
            "answering",
            "createdAt",
            "updatedAt",
        ]
        read_only_fields = ["id"]

    def get_answering(self, session: ChatSession) -> bool:
        answering = getattr(session, "is_answering", None)
        return session.messages.running().exists() if answering is None else bool(answering)


class NewSessionSerializer(Strict):
    title = Line(max_length=200, required=False, allow_blank=True, default="")
    provider = Line(max_length=50, required=False, allow_blank=True, allow_null=True)
    model = Line(max_length=200, required=False, allow_blank=True, allow_null=True)
    mode = Line(max_length=50, default="normal")
    context = ContextField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class


class MessageErrorSerializer(serializers.Serializer[Any]):
    error = serializers.CharField()
    code = serializers.CharField()
    retryable = serializers.BooleanField()
    retryAfter = serializers.FloatField(required=False)
    detail = serializers.CharField(
        required=False, help_text="The provider's own words: plain text, redacted, at most 300 characters."
    )


class UsageSerializer(serializers.Serializer[Any]):
    inputTokens = serializers.IntegerField(allow_null=True)
    outputTokens = serializers.IntegerField(allow_null=True)
    reasoningTokens = serializers.IntegerField(required=False)
    cachedTokens = serializers.IntegerField(required=False)
    estimated = serializers.BooleanField(required=False)


class ContextSerializer(serializers.Serializer[Any]):
    """How much of the conversation the model was sent for an answer."""

    sent = serializers.IntegerField(help_text="How many messages, the question included.")
    omitted = serializers.IntegerField(help_text="How many earlier messages were not sent.")
    firstMessageId = serializers.UUIDField(help_text="The first that was sent.")


class MessageSerializer(serializers.ModelSerializer[Message]):
    createdAt = serializers.DateTimeField(source="created_at")
    responseTime = serializers.IntegerField(
        source="response_time", allow_null=True, help_text="Milliseconds."
    )
    firstTokenTime = serializers.IntegerField(
        source="first_token_time", allow_null=True, help_text="Milliseconds."
    )
    usage = UsageSerializer(allow_null=True)
    finishReason = serializers.SerializerMethodField()
    notice = serializers.SerializerMethodField()
    servedModel = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    context = serializers.SerializerMethodField()  # type: ignore[assignment]  # DRF takes fields out of the class
    parentId = serializers.UUIDField(source="parent_id", allow_null=True)
    siblings = serializers.SerializerMethodField(
        help_text="The ids beside this one, itself included, oldest first: of many, the nearest."
    )
    siblingIndex = serializers.SerializerMethodField(help_text="Its place among all of them, from 0.")
    siblingCount = serializers.SerializerMethodField(help_text="How many there are, itself included.")

    class Meta:
        model = Message
        fields = [
            "id",
            "role",
            "content",
            "createdAt",
            "status",
            "reasoning",
            "provider",
            "model",
            "responseTime",
            "firstTokenTime",
            "usage",
            "finishReason",
            "notice",
            "servedModel",
            "error",
            "context",
            "parentId",
            "siblings",
            "siblingIndex",
            "siblingCount",
        ]

    def get_finishReason(self, message: Message) -> str | None:
        return message.finish_reason or None

    @extend_schema_field(
        serializers.ChoiceField(
            list(notices.TEXTS), allow_null=True, help_text="Why a complete answer has no text."
        )
    )
    def get_notice(self, message: Message) -> str | None:
        return message.notice or None

    @extend_schema_field(
        serializers.CharField(
            allow_null=True, help_text="The model that answered, where that is another one than was asked."
        )
    )
    def get_servedModel(self, message: Message) -> str | None:
        return message.served_model or None

    @extend_schema_field(MessageErrorSerializer(allow_null=True))
    def get_error(self, message: Message) -> dict[str, Any] | None:
        if not message.error_code:
            return None
        return faults.error_data(
            message.error_code, message.retry_after, message.retryable, message.error_detail
        )

    @extend_schema_field(ContextSerializer(allow_null=True))
    def get_context(self, message: Message) -> dict[str, Any] | None:
        return message.context.data() if message.context else None

    def get_siblings(self, message: Message) -> list[str]:
        return [str(sibling) for sibling in self._siblings(message).nearby]

    def get_siblingIndex(self, message: Message) -> int:
        return self._siblings(message).index

    def get_siblingCount(self, message: Message) -> int:
        return self._siblings(message).count

    def _siblings(self, message: Message) -> Siblings:
        known: dict[UUID, Siblings] = self.context.get("siblings", {})  # type: ignore[attr-defined]
        return known.get(message.id) or Siblings(0, 1, [message.id])


class WholeAnswerSerializer(MessageSerializer):
    """A finished answer: the message, and where it is kept."""

    messageId = serializers.UUIDField(source="id")
    sessionId = serializers.UUIDField(source="session_id")
    userMessageId = serializers.UUIDField(source="parent_id", allow_null=True)
    title = serializers.CharField(source="session.title", help_text="The conversation's.")

    class Meta:
        model = Message
        fields = [*MessageSerializer.Meta.fields, "messageId", "sessionId", "userMessageId", "title"]


class ModeSerializer(serializers.ModelSerializer[Mode]):
    name = serializers.SerializerMethodField()
    description = serializers.SerializerMethodField()

    class Meta:
        model = Mode
        fields = ["id", "name", "description"]

    def get_name(self, mode: Mode) -> str:
        return (mode.name_en or mode.name) if get_language() == "en" else mode.name

    def get_description(self, mode: Mode) -> str:
        return (mode.description_en or mode.description) if get_language() == "en" else mode.description
