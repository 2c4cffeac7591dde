"""OpenAI responses, from OpenAI and those who copy it."""

import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from ..base import (
    ChatMessage,
    ChatRequest,
    Finished,
    FinishReason,
    Output,
    ReasoningDelta,
    StreamPart,
    TextDelta,
    Usage,
)
from ..bodies import merged
from ..error_mapping import fault_in_stream, tells_error
from ..errors import BrokenStream, ProviderError
from ..text import TextCleaner
from ..transport import stream_events
from .fields import served_by
from .openai import FIXED_TEMPERATURE, REASONING_MODEL, OpenAIAdapter
from .reading import DONE, PlainReader, count, joined, named, objects, read_answer

_CUT_SHORT = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
_TOOL_CALLS = ("function_call", "custom_tool_call")
_AUDIO = ("response.output_audio.delta", "response.audio.delta")


class ResponsesAdapter(OpenAIAdapter):
    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = merged(request.extra_body, build_body(request, self._quirks))
        url = f"{self._base_url}/responses"
        return read_answer(
            lambda: stream_events(self._client, url, headers=self._headers, body=body),
            ResponsesReader,
            headers=self._headers,
            asked=request.model,
            repair=lambda fault: drop_parameter(body, fault.parameter),
            on_text=request.on_text,
        )


def build_body(request: ChatRequest, quirks: frozenset[str] = frozenset()) -> dict[str, Any]:
    system = [message.content for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {
        "model": request.model,
        "input": [_item(message) for message in request.messages if message.role != "system"],
        "stream": True,
        # The conversation is kept here; the provider need not keep it too.
        "store": False,
    }
    if system:
        body["instructions"] = "\n\n".join(system)
    reasons = FIXED_TEMPERATURE in quirks and REASONING_MODEL.match(request.model) is not None
    if request.temperature is not None and not reasons:
        body["temperature"] = request.temperature
    if request.top_p is not None and not reasons:
        body["top_p"] = request.top_p
    if request.max_output_tokens is not None:
        body["max_output_tokens"] = request.max_output_tokens
    # A summary is all that OpenAI shows of the reasoning, and only where it is asked for.
    reasoning = {"effort": request.reasoning_effort, "summary": "auto" if reasons else None}
    if reasoning := {name: value for name, value in reasoning.items() if value is not None}:
        body["reasoning"] = reasoning
    return body


def _item(message: ChatMessage) -> dict[str, Any]:
    # A plain string would do for OpenAI; others tell the model's own words only by their type.
    kind = "output_text" if message.role == "assistant" else "input_text"
    return {
        "type": "message",
        "role": message.role,
        "content": [{"type": kind, "text": message.content}],
    }


def drop_parameter(body: dict[str, Any], name: str) -> bool:
    """Take out of the body what the provider would not have; say whether that was possible."""
    inner = re.fullmatch(r"reasoning\.(summary|effort)", name)
    if inner:
        return body.get("reasoning", {}).pop(inner[1], None) is not None
    if name in ("temperature", "top_p", "max_output_tokens", "reasoning") and name in body:
        del body[name]
        return True
    return False


class ResponsesReader(PlainReader):
    """The events of one response, turned into parts. Pure: data in, parts out."""

    ending = False

    def __init__(self) -> None:
        self.done = False
        self._finish: FinishReason | None = None
        self._error: ProviderError | None = None
        self._refused = False
        self._calls = False
        self._model = ""
        self.beside: set[Output] = set()
        self._spoke = False
        # Some servers send their reasoning twice, raw and summed up: the first kind that comes is taken.
        self._thinks_by = ""
        self._text = TextCleaner()
        self._thought = TextCleaner()

    def feed(self, data: bytes) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        for event in objects(data):
            if event is not DONE:
                self._event(event, parts)
        return parts

    def _event(self, event: dict[str, Any], parts: list[StreamPart]) -> None:
        kind = event.get("type")
        if kind == "response.output_text.delta":
            self._say(event.get("delta"), parts)
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            self._think(kind, event.get("delta"), parts)
        elif kind == "response.refusal.delta":
            self._refused = True
            self._say(event.get("delta"), parts)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(event.get("item"))
        elif kind in _AUDIO:
            self.beside.add(Output.AUDIO)
        elif kind in ("response.created", "response.in_progress"):
            self._served(event.get("response"), parts)
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._end(event.get("response"), kind.removeprefix("response."), parts)
        elif kind == "error" or (kind is None and event.get("object") != "response" and tells_error(event)):
            self._fail(event if isinstance(event.get("error"), dict | str) else {"error": event})
        elif event.get("object") == "response" and kind is None:
            # It was not streamed.
            self._end(event, None, parts)

    def rest(self) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        if thought := self._thought.end():
            parts.append(ReasoningDelta(thought))
        if text := self._text.end():
            parts.append(TextDelta(text))
        return parts

    def finished(self, broken: ProviderError | None) -> Finished:
        if self._error is not None:
            raise self._error
        if self._finish is not None:
            return Finished(self._finish)
        raise broken or BrokenStream("the stream ended without the event that ends a response")

    def _item(self, item: Any) -> None:
        """Note whether the response ends with calls; the provider answers some itself, and goes on."""
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _TOOL_CALLS:
            self._calls = True
            self.beside.add(Output.TOOL_CALL)
        elif kind == "message":
            self._calls = False
        elif kind == "image_generation_call":
            self.beside.add(Output.IMAGE)

    def _served(self, response: Any, parts: list[StreamPart]) -> None:
        if isinstance(response, dict):
            self._model = served_by(response.get("model"), self._model, parts)

    def _say(self, text: Any, parts: list[StreamPart]) -> None:
        if isinstance(text, str) and (text := self._text.feed(text)):
            self._spoke = True
            parts.append(TextDelta(text))

    def _think(self, kind: str, text: Any, parts: list[StreamPart]) -> None:
        self._thinks_by = self._thinks_by or kind
        if kind == self._thinks_by and isinstance(text, str) and (text := self._thought.feed(text)):
            parts.append(ReasoningDelta(text))

    def _fail(self, payload: dict[str, Any]) -> None:
        # `error` and then `response.failed` are one failure told twice.
        if self._error is None:
            self._error = fault_in_stream(payload)
        self.done = True

    def _end(self, response: Any, kind: str | None, parts: list[StreamPart]) -> None:
        """Take the response as it ended; `kind` is what the event says of that, if there is one."""
        self.done = True
        if not isinstance(response, dict):
            response = {}
        self._served(response, parts)
        if (usage := parse_usage(response.get("usage"))) is not None:
            parts.append(usage)
        status = response.get("status") or kind
        if status == "failed" or response.get("error"):
            self._fail({"error": response.get("error") or {"message": "the response failed"}})
            return
        output = response.get("output")
        items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        for item in items:
            self._item(item)
        # What did not come in pieces has not been said yet.
        spoke, thought = self._spoke, bool(self._thinks_by)
        for item in items:
            if item.get("type") == "message" and not spoke:
                self._whole(item.get("content"), parts)
            elif item.get("type") == "reasoning" and not thought:
                self._think("whole", joined(item.get("summary")) or joined(item.get("content")), parts)
        if status == "incomplete":
            details = response.get("incomplete_details")
            why = details.get("reason") if isinstance(details, dict) else None
            self._finish = _CUT_SHORT.get(str(why), FinishReason.OTHER)
        elif status != "completed":
            self._error = BrokenStream(f"the response is {named(status)[:50]}")
        elif self._refused:
            self._finish = FinishReason.REFUSAL
        else:
            self._finish = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP

    def _whole(self, content: Any, parts: list[StreamPart]) -> None:
        for piece in content if isinstance(content, list) else []:
            if isinstance(piece, dict):
                self._refused |= piece.get("type") == "refusal"
                self._say(joined(piece.get("text") or piece.get("refusal")), parts)


def parse_usage(usage: Any) -> Usage | None:
    read, written = count(usage, "input_tokens"), count(usage, "output_tokens")
    if read is None and written is None:
        return None
    return Usage(
        read,
        written,
        count(usage.get("output_tokens_details"), "reasoning_tokens"),
        count(usage.get("input_tokens_details"), "cached_tokens"),
    )
