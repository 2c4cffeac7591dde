"""Conversations. A session is a tree of messages, of which one branch is the chosen one."""

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.history import Context
from chat.ids import uuid7


class Mode(models.Model):
    """A way of answering: the system prompt and the parameters that go with it."""

    id = models.SlugField(_("id"), primary_key=True, max_length=50)
    name = models.CharField(_("name"), max_length=100)
    name_en = models.CharField(_("name in English"), max_length=100, blank=True)
    description = models.CharField(_("description"), max_length=300, blank=True)
    description_en = models.CharField(_("description in English"), max_length=300, blank=True)
    system_prompt = models.TextField(_("system prompt"), blank=True)
    temperature = models.FloatField(
        _("temperature"), null=True, blank=True, default=0.7, help_text=_("Empty: the provider's default.")
    )
    top_p = models.FloatField(_("top-p"), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(_("most output tokens"), null=True, blank=True)
    reasoning_effort = models.CharField(
        _("reasoning effort"),
        max_length=10,
        blank=True,
        choices=[("low", _("low")), ("medium", _("medium")), ("high", _("high"))],
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    position = models.PositiveSmallIntegerField(_("position"), default=100)

    class Meta:
        ordering = ["position", "id"]
        verbose_name = _("mode")
        verbose_name_plural = _("modes")

    def __str__(self) -> str:
        return self.name


class ChatSessionQuerySet(models.QuerySet["ChatSession"]):
    def for_user(self, user: Any) -> Self:
        return self.filter(user_id=user.pk)

    def matching(self, text: str) -> Self:
        """Keep the sessions whose title or any message holds `text`, whatever the case."""
        hits = Message.objects.filter(session=models.OuterRef("pk"), content__icontains=text)
        return self.filter(Q(title__icontains=text) | models.Exists(hits))


class ContextChoice(models.TextChoices):
    """How much of a conversation is sent to the model."""

    RECENT = "recent", _("the latest messages")
    FULL = "full", _("as much as the model takes")


class ChatSession(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="chat_sessions", verbose_name=_("user")
    )
    title = models.CharField(_("title"), max_length=200)
    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(_("model"), max_length=200)
    mode = models.CharField(_("mode"), max_length=50, default="normal")
    context = models.CharField(
        _("sent to the model"), max_length=10, choices=ContextChoice.choices, default=ContextChoice.RECENT
    )
    archived = models.BooleanField(_("archived"), default=False)
    pinned = models.BooleanField(_("pinned"), default=False)
    # So many characters its messages have, questions, answers and reasoning; see `chat.storage`.
    stored_chars = models.BigIntegerField(_("stored characters"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = models.Manager.from_queryset(ChatSessionQuerySet)()

    class Meta:
        ordering = ["-updated_at", "-id"]
        indexes = [
            models.Index(fields=["user", "archived", "-updated_at", "-id"], name="session_list"),
            models.Index(fields=["-updated_at", "-id"], name="session_admin_list"),
        ]
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    def __str__(self) -> str:
        # Not the title, which is what somebody wrote: the admin shows and logs this to all of its staff.
        return str(self.pk)


class MessageQuerySet(models.QuerySet["Message"]):
    def for_user(self, user: Any) -> Self:
        return self.filter(session__user_id=user.pk)

    def chosen(self) -> Self:
        """Keep the chosen branch; a child is always newer than its parent, so ids order it."""
        return self.filter(on_branch=True)

    def running(self) -> Self:
        return self.filter(status=Message.Status.STREAMING)


class Message(models.Model):
    class Role(models.TextChoices):
        USER = "user", _("user")
        ASSISTANT = "assistant", _("assistant")

    class Status(models.TextChoices):
        STREAMING = "streaming", _("streaming")
        COMPLETE = "complete", _("complete")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")
        INTERRUPTED = "interrupted", _("interrupted")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    session = models.ForeignKey(
        ChatSession, models.CASCADE, related_name="messages", verbose_name=_("conversation")
    )
    # Django must not follow this one when it deletes: it would load the whole
    # conversation, level by level. `services` deletes what hangs below a message.
    parent = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, blank=True, related_name="children", verbose_name=_("parent")
    )
    on_branch = models.BooleanField(_("on the chosen branch"), default=True)
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.COMPLETE)
    content = models.TextField(_("content"), blank=True)
    reasoning = models.TextField(_("reasoning"), blank=True)
    provider = models.CharField(_("provider"), max_length=50, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    # The model that the provider names, where that is another one than was asked.
    served_model = models.CharField(
        _("model that answered"), max_length=200, blank=True, default="", db_default=""
    )
    finish_reason = models.CharField(_("finish reason"), max_length=20, blank=True)
    # Why a complete answer has no text; see `chat.notices`.
    notice = models.CharField(_("why there is no text"), max_length=20, blank=True, default="", db_default="")
    error_code = models.CharField(_("error"), max_length=50, blank=True)
    retry_after = models.FloatField(_("retry after, seconds"), null=True, blank=True)
    # Of this very fault; NULL: as with all of its kind.
    retryable = models.BooleanField(null=True, editable=False)
    # The provider's own words, as the person may read them, and the status that came with them.
    error_detail = models.CharField(
        _("the provider's own words"), max_length=300, blank=True, default="", db_default=""
    )
    error_status = models.PositiveSmallIntegerField(_("the provider's HTTP status"), null=True, blank=True)
    usage = models.JSONField(_("usage"), null=True, blank=True)
    response_time = models.PositiveIntegerField(_("response time, ms"), null=True, blank=True)
    first_token_time = models.PositiveIntegerField(_("time to first token, ms"), null=True, blank=True)
    reasoning_time = models.PositiveIntegerField(_("time spent thinking, ms"), null=True, blank=True)
    # Of an answer: how many messages the model was sent for it, the question included, how many earlier
    # ones it was not sent, and the first that it was.
    context_sent = models.PositiveIntegerField(_("messages sent"), null=True, blank=True)
    context_omitted = models.PositiveIntegerField(_("earlier messages not sent"), null=True, blank=True)
    context_first = models.UUIDField(_("first message sent"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # The process that runs this answer, and whether somebody asked it to stop.
    worker_id = models.UUIDField(null=True, blank=True, editable=False)
    stop_requested = models.BooleanField(default=False, editable=False)
    # How often content was found to be reasoning and moved there; a position names the count that it is from.
    resets = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    objects = models.Manager.from_queryset(MessageQuerySet)()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["session"], condition=Q(status="streaming"), name="one_running_answer_per_session"
            ),
        ]
        indexes = [
            models.Index(fields=["session", "id"], name="message_tree"),
            models.Index(fields=["session", "id"], condition=Q(on_branch=True), name="message_branch"),
            models.Index(fields=["session", "id"], condition=Q(parent=None), name="message_roots"),
            models.Index(fields=["worker_id"], condition=Q(status="streaming"), name="message_running"),
            models.Index(fields=["status", "-id"], name="message_admin_status"),
        ]
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    @property
    def context(self) -> Context | None:
        """Return how much of the conversation the model was sent for this answer."""
        if self.context_sent is None or self.context_first is None:
            return None
        return Context(self.context_sent, self.context_omitted or 0, self.context_first)


class IdempotencyKey(models.Model):
    """What an `Idempotency-Key` has already started: the same key never starts a second answer.

    `message_id` is no foreign key: the promise outlives the message.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    message_id = models.UUIDField()
    # Where the answer began: a continued message had text before it.
    start_reasoning = models.PositiveIntegerField(default=0)
    start_content = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_idempotency_key")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key}"


class Worker(models.Model):
    """The lease of one server process on the answers that it runs.

    One heartbeat a second per process keeps all of its answers; where it is
    old, the process is gone, and whoever notices marks them interrupted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    heartbeat_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)
