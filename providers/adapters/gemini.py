"""Google Gemini's `streamGenerateContent`."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base import (
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
from ..errors import BrokenStream, ProviderError, ProviderTimeout
from ..text import TextCleaner
from ..transport import stream_events
from .fields import is_first, served_by
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
    model_in_path,
    model_info,
    named,
    objects,
    read_answer,
    total,
)

if TYPE_CHECKING:
    import httpx

_VERSION = re.compile(r"/v\d+\w*(/|$)")
_THINKS = re.compile(r"gemini-(2\.5|[3-9]|\d\d)|gemini-\w+-latest")
_THINKS_BY_LEVEL = re.compile(r"gemini-([3-9]|\d\d)")
_THINKING_TOKENS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}

_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
        ),
        FinishReason.CONTENT_FILTER,
    ),
}


class GeminiAdapter:
    def __init__(
        self,
        client: "httpx.AsyncClient | None",
        *,
        base_url: str,
        api_key: str,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        # Google's own clients are given the address without the version.
        if not _VERSION.search(self._base_url):
            self._base_url += "/v1beta"
        # Never in the URL, where it would get into logs.
        self._headers = {**headers, **({"x-goog-api-key": api_key} if api_key else {})}

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = merged(request.extra_body, build_body(request))
        return read_answer(
            lambda: stream_events(self._client, self._url(request.model), headers=self._headers, body=body),
            GeminiReader,
            headers=self._headers,
            asked=request.model,
            repair=lambda fault: drop_thinking(body, fault),
            on_text=request.on_text,
        )

    def _url(self, model: str) -> str:
        return f"{self._base_url}/models/{model_path(model)}:streamGenerateContent?alt=sse"

    async def list_models(self) -> list[ModelInfo]:
        models: list[ModelInfo] = []
        after = ""
        for _ in range(MAX_PAGES):
            url = f"{self._base_url}/models?pageSize=1000{after}"
            page = await get_list(self._client, url, headers=self._headers)
            models += parse_models(page)
            token = cursor(page.get("nextPageToken"))
            if not token or len(models) >= MAX_MODELS:
                break
            after = f"&pageToken={token}"
        return bounded(models)


def model_path(model: str) -> str:
    return model_in_path(model.removeprefix("models/"))


def build_body(request: ChatRequest) -> dict[str, Any]:
    roles = {"user": "user", "assistant": "model"}
    body: dict[str, Any] = {
        "contents": [
            {"role": roles[message.role], "parts": [{"text": message.content}]}
            for message in request.messages
            if message.role in roles and message.content
        ]
    }
    if system := [message.content for message in request.messages if message.role == "system"]:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": request.max_output_tokens,
        "thinkingConfig": _thinking(request),
    }
    if config := {name: value for name, value in config.items() if value is not None}:
        body["generationConfig"] = config
    return body


def _thinking(request: ChatRequest) -> dict[str, Any] | None:
    model, effort = request.model.removeprefix("models/"), request.reasoning_effort
    if not _THINKS.match(model):
        return None
    thinking: dict[str, Any] = {"includeThoughts": True}
    if effort is not None and _THINKS_BY_LEVEL.match(model):
        thinking["thinkingLevel"] = effort
    elif effort is not None and effort in _THINKING_TOKENS:
        thinking["thinkingBudget"] = _THINKING_TOKENS[effort]
    return thinking


def drop_thinking(body: dict[str, Any], fault: ProviderError) -> bool:
    """Leave out the wish for thoughts where the model has none; say whether there was one."""
    if fault.status != 400 or "thinking" not in fault.detail.lower():
        return False
    return body.get("generationConfig", {}).pop("thinkingConfig", None) is not None


class GeminiReader(PlainReader):
    """The responses that one answer is made of, turned into parts. Pure: data in, parts out."""

    # Nothing marks the end but the end of the body: usage may follow the finish reason.
    done = False

    def __init__(self) -> None:
        # Older models give a finish reason with every piece: it is the end only where
        # a piece before had none.
        self._unfinished = False
        self.ending = False
        self._finish: FinishReason | None = None
        self._error: ProviderError | None = None
        self._model = ""
        self.beside: set[Output] = set()
        self._text = TextCleaner()
        self._thought = TextCleaner()

    def feed(self, data: bytes) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        for response in objects(data):
            self._response(response, parts)
        return parts

    def _response(self, response: dict[str, Any], parts: list[StreamPart]) -> None:
        if tells_error(response) and self._error is None:
            self._error = fault_in_stream(response)
        self._model = served_by(response.get("modelVersion"), self._model, parts)
        candidates = response.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else []:
            if isinstance(candidate, dict) and is_first(candidate):
                self._candidate(candidate, parts)
        if (usage := parse_usage(response.get("usageMetadata"))) is not None:
            parts.append(usage)
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._finish = FinishReason.CONTENT_FILTER

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
        # Where every piece had a reason, a broken connection may have cost text; a silent one has not.
        over = self.ending or broken is None or isinstance(broken, ProviderTimeout)
        if self._finish is not None and over:
            calls = Output.TOOL_CALL in self.beside and self._finish is FinishReason.STOP
            return Finished(FinishReason.TOOL_CALLS if calls else self._finish)
        raise broken or BrokenStream("the stream ended without a finish reason")

    def _candidate(self, candidate: dict[str, Any], parts: list[StreamPart]) -> None:
        told = self._finish is not None
        reason = candidate.get("finishReason")
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._finish = _FINISH.get(named(reason), FinishReason.OTHER)
            self.ending = self._unfinished
        else:
            self._unfinished = True
        content = candidate.get("content")
        pieces = content.get("parts") if isinstance(content, dict) else None
        for piece in pieces if isinstance(pieces, list) else []:
            if not isinstance(piece, dict):
                continue
            self._note_beside(piece)
            text = piece.get("text")
            if not text or not isinstance(text, str):
                continue
            if told:
                # It was not the end.
                self.ending = self._unfinished = False
            if piece.get("thought"):
                if thought := self._thought.feed(text):
                    parts.append(ReasoningDelta(thought))
            elif text := self._text.feed(text):
                parts.append(TextDelta(text))

    def _note_beside(self, piece: dict[str, Any]) -> None:
        if "functionCall" in piece:
            self.beside.add(Output.TOOL_CALL)
        data = piece.get("inlineData") or piece.get("fileData")
        if isinstance(data, dict):
            kind = named(data.get("mimeType")).partition("/")[0]
            self.beside.add(Output.AUDIO if kind == "audio" else Output.IMAGE)


def parse_usage(usage: Any) -> Usage | None:
    read, said = count(usage, "promptTokenCount"), count(usage, "candidatesTokenCount")
    thought = count(usage, "thoughtsTokenCount")
    if read is None and said is None and thought is None:
        return None
    written = None if said is None and thought is None else total(said, thought)
    return Usage(read, written, thought, count(usage, "cachedContentTokenCount"))


def parse_models(page: Any) -> list[ModelInfo]:
    listed = page.get("models") if isinstance(page, dict) else None
    models: list[ModelInfo | None] = []
    for entry in entries(listed):
        if not isinstance(id_ := entry.get("name"), str):
            continue
        methods = entry.get("supportedGenerationMethods")
        if isinstance(methods, list) and "generateContent" not in methods:
            continue
        models.append(
            model_info(id_.removeprefix("models/"), entry.get("displayName"), count(entry, "inputTokenLimit"))
        )
    return bounded(models)
