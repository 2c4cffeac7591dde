"""Ollama's own `/api/chat`: one JSON object a line."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base import (
    ChatRequest,
    Finished,
    FinishReason,
    ModelInfo,
    Output,
    StreamPart,
    Usage,
)
from ..bodies import merged
from ..error_mapping import fault_in_stream, tells_error
from ..errors import BrokenStream, ProviderError
from ..transport import stream_lines
from .fields import served_by
from .reading import (
    NO_HEADERS,
    bounded,
    count,
    entries,
    get_list,
    model_info,
    named,
    objects,
    read_answer,
)
from .spoken import Spoken

if TYPE_CHECKING:
    import httpx

_FINISH = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class OllamaAdapter:
    def __init__(
        self,
        client: "httpx.AsyncClient | None",
        *,
        base_url: str,
        api_key: str,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._client = client
        # Those who know its OpenAI-compatible side write the version into the base URL.
        self._base_url = base_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
        self._headers = {**headers, **({"authorization": f"Bearer {api_key}"} if api_key else {})}

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = merged(request.extra_body, build_body(request))
        url = f"{self._base_url}/api/chat"
        return read_answer(
            lambda: stream_lines(self._client, url, headers=self._headers, body=body),
            OllamaReader,
            headers=self._headers,
            asked=request.model,
            repair=lambda fault: drop_thinking(body, fault),
            on_text=request.on_text,
            said=request.said,
        )

    async def list_models(self) -> list[ModelInfo]:
        answer = await get_list(self._client, f"{self._base_url}/api/tags", headers=self._headers)
        return parse_models(answer)


def build_body(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
    }
    options = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "num_predict": request.max_output_tokens,
        # Without it, the oldest messages of what is longer than some thousand tokens are cut, silently.
        "num_ctx": request.context_window,
    }
    if options := {name: value for name, value in options.items() if value is not None}:
        body["options"] = options
    if request.reasoning_effort is not None:
        body["think"] = request.reasoning_effort
    return body


def drop_thinking(body: dict[str, Any], fault: ProviderError) -> bool:
    """Leave out the wish to think where the model does not; say whether there was one."""
    if fault.status != 400 or "think" not in fault.detail:
        return False
    return body.pop("think", None) is not None


class OllamaReader:
    """The lines of one answer, turned into parts. Pure: data in, parts out."""

    ending = False

    def __init__(self) -> None:
        self.done = False
        self._finish = FinishReason.STOP
        self._error: ProviderError | None = None
        self._spoken = Spoken()
        self._model = ""
        self.beside: set[Output] = set()

    @property
    def asks(self) -> bool:
        return self._spoken.asks

    def judge(self, said: str) -> Sequence[StreamPart]:
        return self._spoken.judge(said)

    def feed(self, data: bytes) -> Sequence[StreamPart]:
        parts: list[StreamPart] = []
        for line in objects(data):
            if tells_error(line):
                self._error = self._error or fault_in_stream(line)
                self.done = True
            self._model = served_by(line.get("model"), self._model, parts)
            if line.get("image"):
                self.beside.add(Output.IMAGE)
            if isinstance(message := line.get("message"), dict):
                self._message(message, parts)
            # Some newer servers give the reason and leave out `done`.
            if line.get("done") or line.get("done_reason"):
                self._end(line, parts)
        return parts

    def rest(self) -> Sequence[StreamPart]:
        return self._spoken.rest()

    def finished(self, broken: ProviderError | None) -> Finished:
        if self._error is not None:
            raise self._error
        if self.done:
            calls = Output.TOOL_CALL in self.beside and self._finish is FinishReason.STOP
            return Finished(FinishReason.TOOL_CALLS if calls else self._finish)
        raise broken or BrokenStream("the stream ended before the line that says it is done")

    def _message(self, message: dict[str, Any], parts: list[StreamPart]) -> None:
        thought, text = message.get("thinking"), message.get("content")
        if thought and isinstance(thought, str):
            self._spoken.think(thought, parts)
        if text and isinstance(text, str):
            self._spoken.say(text, parts)
        if message.get("tool_calls"):
            self.beside.add(Output.TOOL_CALL)
        if message.get("images"):
            self.beside.add(Output.IMAGE)

    def _end(self, line: dict[str, Any], parts: list[StreamPart]) -> None:
        self.done = True
        # "load" and "unload" mean that nothing was asked of the model.
        self._finish = _FINISH.get(named(line.get("done_reason") or "stop"), FinishReason.OTHER)
        read, written = count(line, "prompt_eval_count"), count(line, "eval_count")
        if read is not None or written is not None:
            parts.append(Usage(read, written))


def parse_models(answer: Any) -> list[ModelInfo]:
    listed = answer.get("models") if isinstance(answer, dict) else None
    return bounded(model_info(entry.get("model") or entry.get("name")) for entry in entries(listed))
