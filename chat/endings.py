"""How an answer is stored when it ends. Synchronous; may run twice."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from chat import faults, leases, storage
from chat.answers import Outcome, RunningAnswer
from chat.models import ChatSession, Message
from chat.notices import notice_of
from chatproject.prepared import Both, Update
from providers.base import ChatRequest, Usage
from providers.estimates import whole_usage
from providers.served import another

Status = Message.Status

_MOVE_UP = Update(
    lambda session, message, chars, updated_at: (
        ChatSession.objects.filter(pk=session),
        {"updated_at": updated_at, "stored_chars": storage.with_answer(message, chars)},
    )
)


def _end(
    message: Any,
    worker: Any,
    status: Any,
    content: Any,
    reasoning: Any,
    finish_reason: Any,
    error_code: Any,
    retry_after: Any,
    retryable: Any,
    error_detail: Any,
    error_status: Any,
    usage: Any,
    response_time: Any,
    first_token_time: Any,
    reasoning_time: Any,
    notice: Any,
    served_model: Any,
    resets: Any,
) -> tuple[QuerySet[Message], dict[str, Any]]:
    may_end = [Status.STREAMING, Status.INTERRUPTED, status]
    return Message.objects.filter(pk=message, worker_id=worker, status__in=may_end), {
        "status": status,
        "content": content,
        "reasoning": reasoning,
        "finish_reason": finish_reason,
        "error_code": error_code,
        "retry_after": retry_after,
        "retryable": retryable,
        "error_detail": error_detail,
        "error_status": error_status,
        "usage": usage,
        "response_time": response_time,
        "first_token_time": first_token_time,
        "reasoning_time": reasoning_time,
        "notice": notice,
        "served_model": served_model,
        "resets": resets,
    }


_CLOSE = Both(_MOVE_UP, Update(_end))


@dataclass(frozen=True, slots=True)
class Ended:
    """All of an ended answer that is stored."""

    message_id: UUID
    session_id: UUID
    new_chars: int
    reasoning: str
    content: str
    outcome: Outcome
    usage: dict[str, Any] | None
    response_time: int | None
    first_token_time: int | None
    reasoning_time: int | None
    notice: str = ""
    served_model: str = ""
    resets: int = 0


def ended(answer: RunningAnswer, outcome: Outcome, request: ChatRequest) -> Ended:
    """Gather what `close_turn` stores; usage that the provider did not tell is estimated, and marked.

    What continuing an answer costs is added to what it had cost before.
    """
    reasoning, content = answer.texts()
    new_reasoning, new_content = reasoning, content
    if answer.earlier is not None:
        new_reasoning, new_content = reasoning[answer.start.reasoning :], content[answer.start.content :]
    # An answer that failed at once may have cost nothing; one that ended well, or was stopped, has not.
    asked_for = outcome.status in (Status.COMPLETE, Status.STOPPED)
    if answer.usage is not None or new_reasoning or new_content or asked_for:
        answer.usage = whole_usage(answer.usage, request, new_content, new_reasoning)
    if answer.earlier is not None:
        answer.usage = answer.earlier + answer.usage if answer.usage else answer.earlier
    if outcome.status == Status.COMPLETE:
        answer.notice = notice_of(content, reasoning, outcome.finish_reason, answer.beside)
    if answer.served_by:
        answer.served_model = another(request.model, answer.served_by)
    return Ended(
        message_id=answer.id,
        session_id=answer.opening.session_id,
        new_chars=len(reasoning) + len(content) - sum(answer.start),
        reasoning=reasoning,
        content=content,
        outcome=outcome,
        usage=usage_data(answer.usage) if answer.usage else None,
        response_time=answer.milliseconds_to(answer.ended_at),
        first_token_time=answer.milliseconds_to(answer.first_token_at),
        reasoning_time=answer.thinking_milliseconds(),
        notice=answer.notice,
        served_model=answer.served_model,
        resets=answer.resets,
    )


def close_turn(end: Ended) -> bool:
    """Store an ended answer; may run twice. Return whether the message is still there.

    Only the process that runs an answer may end it. If another took it for
    abandoned meanwhile, the whole answer still replaces the cut one.
    """
    updated = _CLOSE.run(
        (end.session_id, end.message_id, end.new_chars, timezone.now()),
        (
            end.message_id,
            leases.worker_id,
            end.outcome.status,
            end.content,
            end.reasoning,
            end.outcome.finish_reason,
            end.outcome.error_code,
            end.outcome.retry_after,
            end.outcome.retryable,
            end.outcome.detail,
            end.outcome.http_status,
            end.usage,
            end.response_time,
            end.first_token_time,
            end.reasoning_time,
            end.notice,
            end.served_model,
            end.resets,
        ),
    )
    return bool(updated) or Message.objects.filter(pk=end.message_id).exists()


def fail_turn(message_id: UUID) -> bool:
    """End an answer of this process whose text could not be stored; what was kept of it stays."""
    message = Message.objects.running().filter(pk=message_id, worker_id=leases.worker_id)
    return bool(message.update(status=Status.FAILED, error_code=faults.SERVER_ERROR))


def usage_of(data: dict[str, Any] | None) -> Usage | None:
    """Return usage that was stored as the API shows it."""
    if data is None:
        return None
    return Usage(
        input_tokens=data.get("inputTokens"),
        output_tokens=data.get("outputTokens"),
        reasoning_tokens=data.get("reasoningTokens"),
        cached_tokens=data.get("cachedTokens"),
        estimated=bool(data.get("estimated")),
    )


def usage_data(usage: Usage) -> dict[str, Any]:
    """Return usage as the API shows it."""
    data: dict[str, Any] = {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens}
    if usage.reasoning_tokens is not None:
        data["reasoningTokens"] = usage.reasoning_tokens
    if usage.cached_tokens is not None:
        data["cachedTokens"] = usage.cached_tokens
    if usage.estimated:
        data["estimated"] = True
    return data
