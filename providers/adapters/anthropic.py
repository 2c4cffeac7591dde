"""Anthropic messages."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from ..base import (
    ChatMessage,
    ChatRequest,
    Finished,
    FinishReason,
    ModelInfo,
    Output,
    ReasoningDelta,
    StreamPart,
    TextDelta,
    Usage,
)
from ..bodies import merged
from ..error_mapping import fault_in_stream, tells_error
from ..errors import BrokenStream, ProviderError
from ..frames import Framed
from ..text import TextCleaner
from ..transport import stream_events
from ..turns import in_turns
from .fields import served_by
from .reading import (
    MAX_MODELS,
    MAX_PAGES,
    NO_HEADERS,
    PlainReader,
    bounded,
    count,
    cursor,
    entries,
    get_list,
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
# What the newer way of asking for it has no word for.
_EFFORT = {"minimal": "low"}
_BOTH = re.compile(r"temperature.{1,20}top_p|top_p.{1,20}temperature", re.S)
_TOO_MANY = re.compile(r"max_tokens: \d+ > (\d+)")
# What was asked and what may be answered have to fit together.
_TOO_LONG = re.compile(r"input length and `max_tokens` exceed context limit: (\d+) \+ \d+ > (\d+)")
# A server that speaks the protocol in part may not know caching, or take texts as strings alone.
_NO_BLOCKS = re.compile(r"cache_control|(content|system).{1,80}string|string.{1,80}(content|system)", re.S)
_CACHE = {"type": "ephemeral"}
_PARAGRAPHS = "\n\n"

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
    "tool_use": FinishReason.TOOL_CALLS,
}


class AnthropicAdapter:
    def __init__(
        self,
        client: "httpx.AsyncClient | None",
        *,
        base_url: str,
        api_key: str,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._client = client
        # The version is part of every path, but some write it into the base URL.
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._headers = {"anthropic-version": VERSION, **headers}
        if api_key:
            self._headers["x-api-key"] = api_key

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = merged(request.extra_body, build_body(request))
        tried: set[str] = set()
        return read_answer(
            lambda: stream_events(
                self._client, f"{self._base_url}/v1/messages", headers=self._headers, body=body
            ),
            MessagesReader,
            headers=self._headers,
            asked=request.model,
            repair=lambda fault: repair(body, fault, request, tried),
            on_text=request.on_text,
        )

    async def list_models(self) -> list[ModelInfo]:
        models: list[ModelInfo] = []
        after = ""
        for _ in range(MAX_PAGES):
            url = f"{self._base_url}/v1/models?limit=1000{after}"
            page = await get_list(self._client, url, headers=self._headers)
            models += parse_models(page)
            last = cursor(page.get("last_id"))
            if not page.get("has_more") or not last or len(models) >= MAX_MODELS:
                break
            after = f"&after_id={last}"
        return bounded(models)


def build_body(request: ChatRequest) -> dict[str, Any]:
    most = request.max_output_tokens or _DEFAULT_MOST
    messages = in_turns(request.messages)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": most,
        "messages": _turns(messages),
        "stream": True,
    }
    if system := [message for message in messages if message.role == "system"]:
        body["system"] = _text(system)
    budget = _THINKING_TOKENS.get(request.reasoning_effort or "")
    if budget is not None and most > _LEAST_THINKING:
        # Thinking takes the default temperature only, and less than the whole limit.
        body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, most - 1)}
    else:
        body |= _sampling(request)
    return body


def _sampling(request: ChatRequest) -> dict[str, float]:
    temperature = None if request.temperature is None else min(request.temperature, 1.0)
    wanted = {"temperature": temperature, "top_p": request.top_p}
    return {name: value for name, value in wanted.items() if value is not None}


def _turns(messages: list[ChatMessage]) -> list[dict[str, Any]]:
    turns = [message for message in messages if message.role != "system"]
    if turns and turns[-1].role == "assistant":
        # The answer goes on right behind it, and the protocol refuses blanks there.
        turns[-1] = replace(turns[-1], content=turns[-1].content.rstrip())
    return [{"role": turn.role, "content": _text([turn])} for turn in turns]


def _text(messages: list[ChatMessage]) -> str | list[dict[str, Any]]:
    """Return texts as one, or as blocks of which some say that the provider may keep all up to their end."""
    if not any(message.keep for message in messages):
        return _PARAGRAPHS.join(message.content for message in messages)
    plain = [{"type": "text", "text": message.content} for message in messages]
    marked = zip(plain, messages, strict=True)
    return [block | ({"cache_control": _CACHE} if message.keep else {}) for block, message in marked]


def repair(body: dict[str, Any], fault: ProviderError, request: ChatRequest, tried: set[str]) -> bool:
    """Change the body so that the provider will take it, if the fault says how; say whether it was changed.

    `tried` keeps which limits it was held to: by each once, or a server could go on for ever.
    """
    return fault.status == 400 and (
        _fewer_tokens(body, fault, request, tried)
        or _adaptive(body, fault, request)
        or _not_both(body, fault)
        or _plain(body, fault)
        or _without(body, fault, request)
    )


def _fewer_tokens(body: dict[str, Any], fault: ProviderError, request: ChatRequest, tried: set[str]) -> bool:
    if found := _TOO_MANY.search(fault.detail):
        limit, most = "its own", int(found[1])
    elif found := _TOO_LONG.search(fault.detail):
        limit, most = "with the question", int(found[2]) - int(found[1])
    else:
        return False
    if limit in tried or not 0 < most < body["max_tokens"]:
        return False
    tried.add(limit)
    body["max_tokens"] = most
    if (thinking := body.get("thinking", {})).get("budget_tokens", 0) >= most:
        if most > _LEAST_THINKING:
            thinking["budget_tokens"] = most - 1
        else:
            _stop_thinking(body, request)
    return True


def _adaptive(body: dict[str, Any], fault: ProviderError, request: ChatRequest) -> bool:
    """Leave it to a newer model how long it thinks, and say only how hard it should."""
    if "adaptive" not in fault.detail or body.get("thinking", {}).get("type") != "enabled":
        return False
    body["thinking"] = {"type": "adaptive"}
    effort = request.reasoning_effort or ""
    body["output_config"] = {"effort": _EFFORT.get(effort, effort)}
    return True


def _not_both(body: dict[str, Any], fault: ProviderError) -> bool:
    """Leave out one of the two that newer models will not have together."""
    if not {"temperature", "top_p"} <= body.keys() or not _BOTH.search(fault.detail):
        return False
    del body["top_p"]
    return True


def _plain(body: dict[str, Any], fault: ProviderError) -> bool:
    """Send plain texts to a server that does not know the marks of what it may keep."""
    if not _NO_BLOCKS.search(fault.detail):
        return False
    holders = [(message, "content") for message in body["messages"]] + [(body, "system")]
    marked = [(holder, name) for holder, name in holders if isinstance(holder.get(name), list)]
    for holder, name in marked:
        holder[name] = _PARAGRAPHS.join(block["text"] for block in holder[name])
    return bool(marked)


def _without(body: dict[str, Any], fault: ProviderError, request: ChatRequest) -> bool:
    if fault.parameter not in body:
        return False
    if fault.parameter == "thinking":
        _stop_thinking(body, request)
    elif fault.parameter in ("temperature", "top_p", "output_config"):
        del body[fault.parameter]
    else:
        return False
    return True


def _stop_thinking(body: dict[str, Any], request: ChatRequest) -> None:
    for name in ("thinking", "output_config"):
        body.pop(name, None)
    # What could not be asked for beside it.
    body |= _sampling(request)


class MessagesReader(Framed, PlainReader):
    """The events of one message, turned into parts. Pure: data in, parts out."""

    def __init__(self) -> None:
        self.done = False
        self.text_only = True
        self._model = ""
        self.beside: set[Output] = set()
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

    def only_text(self, data: bytes) -> str | None:
        try:
            event = orjson.loads(data)
            if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
                text = event["delta"]["text"]
                return text if type(text) is str and "\0" not in text else None
        except (ValueError, LookupError, TypeError):
            pass
        return None

    def _event(self, event: dict[str, Any], parts: list[StreamPart]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self._piece(event.get("delta"), parts)
        elif kind == "content_block_start":
            self._piece(event.get("content_block"), parts)
        elif kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                self._model = served_by(message.get("model"), self._model, parts)
                self._count(message.get("usage"))
            if usage := parse_usage(self._counts):
                # What it says of the output is where the count begins.
                parts.append(replace(usage, output_tokens=None))
        elif kind == "message_delta":
            self._stop(event.get("delta"))
            self._count(event.get("usage"))
        elif kind == "message_stop":
            self.done = True
        elif kind == "error" or tells_error(event):
            self._error = self._error or fault_in_stream(event)
            self.done = True
        elif kind == "message":
            # It was not streamed.
            self._model = served_by(event.get("model"), self._model, parts)
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
            if isinstance(text := piece.get("text"), str):
                if text := self._text.feed(text):
                    parts.append(TextDelta(text))
                self.text_only = not self._text.holds
        elif (
            kind in ("thinking", "thinking_delta")
            and isinstance(thought := piece.get("thinking"), str)
            and (thought := self._thought.feed(thought))
        ):
            parts.append(ReasoningDelta(thought))
        elif kind == "tool_use":
            self.beside.add(Output.TOOL_CALL)
        elif kind == "image":
            self.beside.add(Output.IMAGE)

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
