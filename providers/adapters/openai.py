"""OpenAI chat completions, from OpenAI and everybody who copies the protocol."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ..base import (
    ChatRequest,
    Finished,
    FinishReason,
    ModelInfo,
    Output,
    StreamPart,
    TextDelta,
    Usage,
)
from ..bodies import merged
from ..error_mapping import fault_in_stream, tells_error
from ..errors import (
    BrokenStream,
    EmptyAnswer,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
)
from ..frames import Framed
from ..transport import stream_events
from .fields import is_first, served_by
from .reading import (
    DONE,
    NO_HEADERS,
    bounded,
    count,
    entries,
    get_list,
    joined,
    model_info,
    named,
    objects,
    read_answer,
)
from .spoken import Spoken

if TYPE_CHECKING:
    import httpx

# What a server does differently, as plain data in the registry.
NO_STREAM_OPTIONS = "no_stream_options"  # sends usage unasked, or refuses to be asked
MAX_COMPLETION_TOKENS = "max_completion_tokens"  # the newer name of max_tokens
FIXED_TEMPERATURE = "fixed_temperature"  # its reasoning models refuse sampling parameters
SEVERAL_KINDS = "several_kinds"  # lists models that cannot chat

REASONING_MODEL = re.compile(r"(.*/)?(o\d|gpt-[5-9](?!.*chat)|codex)", re.I)
_NO_CHAT_MODEL = re.compile(
    r"embedding|whisper|tts|dall-e|moderation|audio|realtime|image|transcribe|davinci|babbage|sora|search-doc|search-query",
    re.I,
)

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
}
# Reasons to stop that mean the answer is not whole.
_FAILED: dict[str, type[ProviderError]] = {
    "error": ProviderFailed,
    "network_error": ProviderFailed,
    "insufficient_system_resource": ProviderOverloaded,
}

# What a delta may hold besides text, and of what kind a piece of content may be.
_BESIDE = {
    "images": Output.IMAGE,
    "audio": Output.AUDIO,
    "tool_calls": Output.TOOL_CALL,
    "function_call": Output.TOOL_CALL,
}
_PIECES = {
    "image_url": Output.IMAGE,
    "image": Output.IMAGE,
    "output_image": Output.IMAGE,
    "audio": Output.AUDIO,
    "input_audio": Output.AUDIO,
}
# Where a delta says something beside its content.
_SAID_ELSEWHERE = ("reasoning_content", "reasoning", "reasoning_details", "refusal")
# Nobody asks for several answers, and no model has so many hosts.
_MOST_CHOICES = 100
_MOST_HOSTS = 100


class OpenAIAdapter:
    def __init__(
        self,
        client: "httpx.AsyncClient | None",
        *,
        base_url: str,
        api_key: str,
        quirks: frozenset[str] = frozenset(),
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._headers = {**headers, **(self._key_header(api_key) if api_key else {})}
        self._quirks = quirks

    def _key_header(self, api_key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {api_key}"}

    def _chat_url(self, model: str) -> str:
        return f"{self._base_url}/chat/completions"

    def _models_url(self) -> str:
        return f"{self._base_url}/models"

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        body = merged(request.extra_body, build_body(request, self._quirks))
        tried: set[str] = set()
        return read_answer(
            lambda: stream_events(
                self._client, self._chat_url(request.model), headers=self._headers, body=body
            ),
            ChatReader,
            headers=self._headers,
            asked=request.model,
            repair=lambda fault: drop_parameter(body, fault.parameter, tried),
            on_text=request.on_text,
            said=request.said,
        )

    async def list_models(self) -> list[ModelInfo]:
        answer = await get_list(self._client, self._models_url(), headers=self._headers)
        models = parse_models(answer)
        if SEVERAL_KINDS in self._quirks:
            models = [model for model in models if not _NO_CHAT_MODEL.search(model.id)]
        return models


def build_body(request: ChatRequest, quirks: frozenset[str] = frozenset()) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
    }
    if NO_STREAM_OPTIONS not in quirks:
        body["stream_options"] = {"include_usage": True}
    if FIXED_TEMPERATURE not in quirks or not REASONING_MODEL.match(request.model):
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
    if request.max_output_tokens is not None:
        name = "max_completion_tokens" if MAX_COMPLETION_TOKENS in quirks else "max_tokens"
        body[name] = request.max_output_tokens
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    return body


def drop_parameter(body: dict[str, Any], name: str, tried: set[str]) -> bool:
    """Take out of the body what the provider would not have; say whether that was possible."""
    if name not in body or name not in (
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "stream_options",
    ):
        return False
    value = body.pop(name)
    # The same thing under its older and its newer name; a server that takes neither gets neither.
    renamed = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}.get(name)
    if renamed and renamed not in tried:
        body[renamed] = value
    tried.add(name)
    return True


class ChatReader(Framed):
    """The chunks of one answer, turned into parts. Pure: data in, parts out.

    What can only be told at the end (how it finished, an error that more chunks
    follow) is kept until then.
    """

    def __init__(self) -> None:
        self.done = False
        self._finish: str | None = None
        self._refused = False
        self._error: ProviderError | None = None
        self._spoken = Spoken()
        # Then `reasoning_details` repeats what has been read.
        self._own_field = False
        self._model = ""
        self.beside: set[Output] = set()
        self.ending = False
        self.text_only = False

    @property
    def asks(self) -> bool:
        return self._spoken.asks

    def judge(self, said: str) -> Sequence[StreamPart]:
        parts = self._spoken.judge(said)
        self._told()
        return parts

    def feed(self, data: bytes) -> Sequence[StreamPart]:
        if self.text_only and (piece := self.only_text(data)) and not (self.mark and self.mark in piece):
            return (TextDelta(piece),)
        parts: list[StreamPart] = []
        for chunk in objects(data):
            if chunk is DONE:
                self.done = True
            else:
                self._chunk(chunk, parts)
        return parts

    def only_text(self, data: bytes) -> str | None:
        # That is nearly every chunk of an answer. All others go the thorough way.
        try:
            chunk = orjson.loads(data)
            (choice,) = chunk["choices"]
            delta = choice["delta"]
            piece = delta["content"]
            if (
                type(piece) is str  # and clean: orjson takes no lone surrogate
                and "\0" not in piece
                and (len(delta) == 1 or not any(map(delta.get, _SAID_ELSEWHERE)))
                and not choice.get("finish_reason")
                and not choice.get("index")
                and not choice.get("usage")
                and not chunk.get("usage")
                and not tells_error(chunk)
                and not chunk.get("x_groq")
            ):
                return str(piece)
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        return None

    def _chunk(self, chunk: dict[str, Any], parts: list[StreamPart]) -> None:
        if tells_error(chunk):
            self._note_error(chunk)
        self._model = served_by(chunk.get("model"), self._model, parts)
        choices = chunk.get("choices")
        if choices and isinstance(choices, list):
            for choice in choices[:_MOST_CHOICES]:
                if isinstance(choice, dict) and is_first(choice):
                    self._choice(choice, parts)
        if usage := chunk.get("usage"):
            _count(usage, parts)
        elif groq := chunk.get("x_groq"):
            self._groq(groq, parts)

    def rest(self) -> list[StreamPart]:
        """Return what was held back."""
        parts = self._spoken.rest()
        if self._spoken.calls_tool:
            self.beside.add(Output.TOOL_CALL)
        return parts

    def finished(self, broken: ProviderError | None) -> Finished:
        """Return how the answer ended, or raise what makes it not whole."""
        if self._error is not None:
            raise self._error
        if self._finish is not None:
            # What broke after the provider's own end can only have cost the usage.
            if failed := _FAILED.get(self._finish):
                raise failed(f"finish reason {self._finish}")
            if self._refused:
                return Finished(FinishReason.REFUSAL)
            return Finished(_FINISH.get(self._finish, FinishReason.OTHER))
        if broken is not None:
            raise broken
        if not self.done:
            raise BrokenStream("the stream ended without a finish reason or an end marker")
        if not (self._spoken.spoke or self._spoken.thinks or self.beside):
            raise EmptyAnswer("an end marker and no answer before it")
        return Finished(FinishReason.REFUSAL if self._refused else FinishReason.STOP)

    def _note_error(self, chunk: dict[str, Any]) -> None:
        if self._error is None:
            self._error = fault_in_stream(chunk)
        # OpenRouter goes on to the usage and the end marker; others say nothing more.
        if "choices" not in chunk:
            self.done = True

    def _groq(self, extra: Any, parts: list[StreamPart]) -> None:
        if not isinstance(extra, dict):
            return
        _count(extra.get("usage"), parts)
        if tells_error(extra):
            self._note_error(extra)

    def _choice(self, choice: dict[str, Any], parts: list[StreamPart]) -> None:
        if reason := choice.get("finish_reason"):
            self._finish = named(reason)
            self.ending = True
        if usage := choice.get("usage"):
            _count(usage, parts)
        delta = choice.get("delta")
        if delta is None:
            delta = self._unsaid(choice.get("message"))
        if not isinstance(delta, dict):
            return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            self._own_field = True
            self._think(thought, parts)
        elif (details := delta.get("reasoning_details")) and not self._own_field:
            self._think(_details_text(details), parts)
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                self._say(content, parts)
            elif isinstance(content, list):
                self._pieces(content, parts)
        if (refusal := delta.get("refusal")) and isinstance(refusal, str):
            self._refused = True
            self._say(refusal, parts)
        for name, output in _BESIDE.items():
            if delta.get(name):
                self.beside.add(output)

    def _unsaid(self, message: Any) -> Any:
        """Return what a whole message adds to what came in pieces.

        An answer that was not streamed has only that. In a stream some give one with
        every piece, or as the last, and repeat in it all that was said.
        """
        spoken = self._spoken
        if not isinstance(message, dict) or not (spoken.spoke or spoken.thinks):
            return message
        said = {"content", "refusal"} if spoken.spoke else set()
        thought = {"reasoning_content", "reasoning", "reasoning_details"} if spoken.thinks else set()
        return {name: value for name, value in message.items() if name not in said | thought}

    def _think(self, text: str, parts: list[StreamPart]) -> None:
        self._spoken.think(text, parts)
        self._told()

    def _say(self, text: str, parts: list[StreamPart]) -> None:
        self._spoken.say(text, parts)
        self._told()

    def _told(self) -> None:
        self.text_only, self.mark = self._spoken.text_only, self._spoken.mark

    def _pieces(self, content: list[Any], parts: list[StreamPart]) -> None:
        for piece in content:
            if isinstance(piece, str):
                self._say(piece, parts)
            elif isinstance(piece, dict):
                if piece.get("type") == "thinking":
                    self._think(joined(piece.get("thinking")), parts)
                elif isinstance(text := piece.get("text"), str):
                    self._say(text, parts)
                elif output := _PIECES.get(named(piece.get("type"))):
                    self.beside.add(output)


def _details_text(details: Any) -> str:
    """Return what can be read of OpenRouter's reasoning details; some of them are encrypted."""
    items = details if isinstance(details, list) else []
    return "".join(
        joined(item.get("text") or item.get("summary")) for item in items if isinstance(item, dict)
    )


def _count(usage: Any, parts: list[StreamPart]) -> None:
    if (counted := parse_usage(usage)) is not None:
        parts.append(counted)


def parse_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    read, written = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    thought = count(usage.get("completion_tokens_details"), "reasoning_tokens")
    if thought is None:
        thought = count(usage, "reasoning_tokens")
    cached = count(usage.get("prompt_tokens_details"), "cached_tokens")
    if cached is None:
        cached = count(usage, "prompt_cache_hit_tokens", "cached_tokens")
    total = count(usage, "total_tokens")
    # xAI counts reasoning beside the completion; its total gives it away.
    if thought and read is not None and written is not None and read + written + thought == total:
        written += thought
    if read is None and written is None:
        return None
    return Usage(read, written, thought, cached)


def parse_models(answer: Any) -> list[ModelInfo]:
    models: list[ModelInfo | None] = []
    # An empty list alone says nothing of what answers.
    listed = answer.get("data", answer.get("models")) if isinstance(answer, dict) else answer or None
    for entry in entries(listed):
        # Mistral and Azure say of each model what it can do.
        abilities = entry.get("capabilities")
        if isinstance(abilities, dict) and False in (
            abilities.get("completion_chat"),
            abilities.get("chat_completion"),
        ):
            continue
        name = next((n for n in (entry.get("display_name"), entry.get("name")) if isinstance(n, str)), None)
        models.append(model_info(entry.get("id", entry.get("name")), name, _context_window(entry)))
    return bounded(models)


def _context_window(entry: dict[str, Any]) -> int | None:
    own = count(entry, "context_length", "context_window", "max_context_length", "max_model_len")
    if own is None and isinstance(providers := entry.get("providers"), list):
        # Hugging Face's router: the longest that any host of it offers.
        offered = [count(host, "context_length") for host in providers[:_MOST_HOSTS]]
        own = max(filter(None, offered), default=None)
    return own if own is not None else count(entry.get("meta"), "n_ctx", "n_ctx_train")
