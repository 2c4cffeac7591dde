"""Anthropic messages."""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..base import (
    ChatMessage,
    ChatRequest,
    Finished,
    FinishReason,
    ModelInfo,
    ReasoningDelta,
    StreamPart,
    TextDelta,
    Usage,
)
from ..errors import BrokenStream, ProviderError
from ..faults import fault_in_stream
from ..text import TextCleaner
from ..transport import get_json, stream_events
from .reading import (
    MAX_MODELS,
    MAX_PAGES,
    bounded,
    count,
    cursor,
    entries,
    model_info,
    named,
    objects,
    read_answer,
    total,
)

if TYPE_CHECKING:
    import httpx

VERSION = "2023-06-01"
# The protocol wants a limit. This is for a model of which nobody has said how much it writes.
_DEFAULT_MOST = 32000
_LEAST_THINKING = 1024
_THINKING_TOKENS = {"minimal": _LEAST_THINKING, "low": 2048, "medium": 8192, "high": 24576}
_TOO_MANY = re.compile(r"max_tokens: \d+ > (\d+)")
# What was asked and what may be answered have to fit together.
_TOO_LONG = re.compile(r"input length and `max_tokens` exceed context limit: (\d+) \+ \d+ > (\d+)")

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
    "tool_use": FinishReason.TOOL_CALLS,
}


class AnthropicAdapter:
    def __init__(self, client: "httpx.AsyncClient | None", *, base_url: str, api_key: str) -> None:
        self._client = client
        # The version is part of every path, but some write it into the base URL.
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"anthropic-version": VERSION}
        if api_key:
            self._headers["x-api-key"] = api_key

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = build_body(request)
        return read_answer(
            lambda: stream_events(
                self._client, f"{self._base_url}/v1/messages", headers=self._headers, body=body
            ),
            MessagesReader,
            headers=self._headers,
            repair=lambda fault: repair(body, fault),
        )

    async def list_models(self) -> list[ModelInfo]:
        models: list[ModelInfo] = []
        after = ""
        for _ in range(MAX_PAGES):
            url = f"{self._base_url}/v1/models?limit=1000{after}"
            page = await get_json(self._client, url, headers=self._headers)
            models += parse_models(page)
            last = cursor(page.get("last_id"))
            if not page.get("has_more") or not last or len(models) >= MAX_MODELS:
                break
            after = f"&after_id={last}"
        return bounded(models)


def build_body(request: ChatRequest) -> dict[str, Any]:
    most = request.max_output_tokens or _DEFAULT_MOST
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": most,
        "messages": _turns(request.messages),
        "stream": True,
    }
    if system := [message.content for message in request.messages if message.role == "system"]:
        body["system"] = "\n\n".join(system)
    budget = _THINKING_TOKENS.get(request.reasoning_effort or "")
    if budget is not None and most > _LEAST_THINKING:
        # Thinking takes the default temperature only, and less than the whole limit.
        body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, most - 1)}
    elif request.temperature is not None:
        # Newer models refuse to be told both.
        body["temperature"] = min(request.temperature, 1.0)
    elif request.top_p is not None:
        body["top_p"] = request.top_p
    return body


def _turns(messages: tuple[ChatMessage, ...]) -> list[dict[str, str]]:
    """Return the conversation as the protocol wants it: the user first, then in turns, none empty."""
    turns: list[dict[str, str]] = []
    for message in messages:
        if message.role == "system" or not message.content.strip():
            continue
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += f"\n\n{message.content}"
        elif turns or message.role == "user":
            turns.append({"role": message.role, "content": message.content})
    if turns and turns[-1]["role"] == "assistant":
        turns[-1]["content"] = turns[-1]["content"].rstrip()
    return turns


def repair(body: dict[str, Any], fault: ProviderError) -> bool:
    """Change the body so that the provider will take it, if the fault says how."""
    most = _most(fault.detail)
    if most and 0 < most < body["max_tokens"]:
        body["max_tokens"] = most
        if "thinking" in body and most > _LEAST_THINKING:
            body["thinking"]["budget_tokens"] = min(body["thinking"]["budget_tokens"], most - 1)
        else:
            body.pop("thinking", None)
        return True
    if fault.parameter in ("temperature", "top_p", "thinking") and fault.parameter in body:
        del body[fault.parameter]
        return True
    return False


def _most(said: str) -> int | None:
    """Return how many tokens the provider would have let us ask for, if it says so."""
    if found := _TOO_MANY.search(said):
        return int(found[1])
    if found := _TOO_LONG.search(said):
        return int(found[2]) - int(found[1])
    return None


class MessagesReader:
    """The events of one message, turned into parts. Pure: data in, parts out."""

    def __init__(self) -> None:
        self.done = False
        self._counts: dict[str, int] = {}
        self._finish: str | None = None
        self._error: ProviderError | None = None
        self._text = TextCleaner()
        self._thought = TextCleaner()

    @property
    def ending(self) -> bool:
        return self._finish is not None

    def feed(self, data: bytes) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        for event in objects(data):
            self._event(event, parts)
        return parts

    def _event(self, event: dict[str, Any], parts: list[StreamPart]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._piece(event.get("delta"), parts)
        elif kind == "content_block_start":
            self._piece(event.get("content_block"), parts)
        elif kind == "message_start":
            message = event.get("message")
            self._count(message.get("usage") if isinstance(message, dict) else None)
            if usage := parse_usage(self._counts):
                # What it says of the output is where the count begins.
                parts.append(replace(usage, output_tokens=None))
        elif kind == "message_delta":
            self._stop(event.get("delta"))
            self._count(event.get("usage"))
        elif kind == "message_stop":
            self.done = True
        elif kind == "error" or event.get("error"):
            self._error = self._error or fault_in_stream(event)
            self.done = True
        elif kind == "message":
            # It was not streamed.
            for block in content if isinstance(content := event.get("content"), list) else []:
                self._piece(block, parts)
            self._stop(event)
            self._count(event.get("usage"))
            self.done = True

    def rest(self) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        if thought := self._thought.end():
            parts.append(ReasoningDelta(thought))
        if text := self._text.end():
            parts.append(TextDelta(text))
        if usage := parse_usage(self._counts):
            parts.append(usage)
        return parts

    def finished(self, broken: ProviderError | None) -> Finished:
        if self._error is not None:
            raise self._error
        if self._finish is not None:
            return Finished(_FINISH.get(self._finish, FinishReason.OTHER))
        if self.done:
            return Finished(FinishReason.STOP)
        raise broken or BrokenStream("the stream ended without a stop reason")

    def _piece(self, piece: Any, parts: list[StreamPart]) -> None:
        """Take a block as it begins, or what is added to it; a block may begin with text."""
        if not isinstance(piece, dict):
            return
        kind = piece.get("type")
        if kind in ("text", "text_delta"):
            if isinstance(text := piece.get("text"), str) and (text := self._text.feed(text)):
                parts.append(TextDelta(text))
        elif (
            kind in ("thinking", "thinking_delta")
            and isinstance(thought := piece.get("thinking"), str)
            and (thought := self._thought.feed(thought))
        ):
            parts.append(ReasoningDelta(thought))

    def _stop(self, holder: Any) -> None:
        if isinstance(holder, dict) and (reason := holder.get("stop_reason")):
            self._finish = named(reason)

    def _count(self, usage: Any) -> None:
        """Keep the last number of each kind: they are told anew, but not all of them every time."""
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ):
            if (found := count(usage, name)) is not None:
                self._counts[name] = found


def parse_usage(counts: dict[str, int]) -> Usage | None:
    if not counts:
        return None
    cached = counts.get("cache_read_input_tokens")
    read = counts.get("input_tokens")
    if read is not None:
        # Here what the cache held, or was given to hold, is counted beside the rest.
        read = total(read, cached, counts.get("cache_creation_input_tokens"))
    return Usage(read, counts.get("output_tokens"), None, cached)


def parse_models(page: Any) -> list[ModelInfo]:
    listed = page.get("data") if isinstance(page, dict) else None
    return bounded(
        model_info(entry.get("id"), entry.get("display_name"), count(entry, "max_input_tokens"))
        for entry in entries(listed)
    )
