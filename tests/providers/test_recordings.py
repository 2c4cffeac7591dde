"""Every recorded answer of every protocol, in every framing and cut, and over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from providers.adapters.anthropic import AnthropicAdapter, MessagesReader
from providers.adapters.gemini import GeminiAdapter, GeminiReader
from providers.adapters.ollama import OllamaAdapter, OllamaReader
from providers.adapters.openai import ChatReader, OpenAIAdapter
from providers.adapters.responses import ResponsesAdapter, ResponsesReader
from providers.base import ChatMessage, ChatRequest, FinishReason, Usage
from providers.decoding import EventBody, LineBody
from providers.errors import BrokenStream, ProviderError

from .reading import Read, over_http, read
from .recordings import Recording, cuts, deliveries, few_cuts, recordings
from .wire_server import replay, serving

QUESTION = ChatRequest(model="m", messages=(ChatMessage("system", "Be brief."), ChatMessage("user", "Hi")))


@dataclass(frozen=True)
class Dialect:
    """How a protocol is read, and where its sidecars count differently from us."""

    reader: type
    adapter: type
    path: str
    key: tuple[str, str]
    usage: Callable[[dict[str, Any], dict[str, Any]], Usage]
    new_body: Any = EventBody


def chat_usage(usage: dict[str, Any], raw: dict[str, Any]) -> Usage:
    written, thought = usage["output_tokens"], usage.get("reasoning_tokens")
    if usage.get("total_tokens") == usage["input_tokens"] + written + (thought or 0):
        # xAI counts reasoning beside the completion.
        written += thought or 0
    # Some put these two at the top, where the sidecar did not look.
    return Usage(
        usage["input_tokens"],
        written,
        usage.get("reasoning_tokens", raw.get("reasoning_tokens")),
        usage.get("cached_tokens", raw.get("cached_tokens")),
    )


def responses_usage(usage: dict[str, Any], raw: dict[str, Any]) -> Usage:
    return Usage(
        usage["input_tokens"],
        usage["output_tokens"],
        usage.get("reasoning_tokens"),
        usage.get("cached_tokens"),
    )


def anthropic_usage(usage: dict[str, Any], raw: dict[str, Any]) -> Usage:
    cached = usage.get("cache_read_input_tokens")
    read_ = usage["input_tokens"] + (cached or 0) + usage.get("cache_creation_input_tokens", 0)
    return Usage(read_, usage["output_tokens"], None, cached)


def gemini_usage(usage: dict[str, Any], raw: dict[str, Any]) -> Usage:
    written = usage.get("output_tokens_incl_reasoning", usage["output_tokens"])
    return Usage(
        usage["input_tokens"], written, usage.get("reasoning_tokens"), raw.get("cachedContentTokenCount")
    )


def ollama_usage(usage: dict[str, Any], raw: dict[str, Any]) -> Usage:
    return Usage(usage["input_tokens"], usage["output_tokens"])


DIALECTS = {
    "chat.completions": Dialect(
        ChatReader, OpenAIAdapter, "/chat/completions", ("authorization", "Bearer key"), chat_usage
    ),
    "responses": Dialect(
        ResponsesReader, ResponsesAdapter, "/responses", ("authorization", "Bearer key"), responses_usage
    ),
    "messages": Dialect(
        MessagesReader, AnthropicAdapter, "/v1/messages", ("x-api-key", "key"), anthropic_usage
    ),
    "streamGenerateContent": Dialect(
        GeminiReader,
        GeminiAdapter,
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        ("x-goog-api-key", "key"),
        gemini_usage,
    ),
    "ollama-chat": Dialect(
        OllamaReader,
        OllamaAdapter,
        "/api/chat",
        ("authorization", "Bearer key"),
        ollama_usage,
        LineBody,
    ),
}
RECORDINGS = recordings(*DIALECTS)
MORE = recordings(*DIALECTS, folder="recordings-2")
# Where what we tell is more than what the sidecar's one word for it says.
OUR_WORD = {
    "anthropic/refusal-after-partial-text": FinishReason.REFUSAL,
    "anthropic/refusal-empty-block": FinishReason.REFUSAL,
    # An end marker and no reason: an ordinary end.
    "snowflake-cortex/reasoning-details-only": FinishReason.STOP,
}
# Ended with neither: not an answer that may pass for whole.
WITHOUT_END = ("gemini/quotes-escaped",)


def wanted_words(recording: Recording) -> tuple[str, str]:
    """Return the text and the reasoning to expect."""
    expected = recording.expected
    text, reasoning = expected.get("text") or "", expected.get("reasoning") or ""
    if text.startswith("<think>"):
        # The sidecar keeps what the server sent; we tell the two apart.
        reasoning, _, text = text.removeprefix("<think>").partition("</think>")
        return text.strip(), reasoning.strip()
    if "</think>" in text:
        # The template wrote the other tag into the prompt.
        reasoning, _, text = text.partition("</think>")
        return text.strip(), reasoning.strip()
    # A refusal is what the reader is to see.
    return text + (expected.get("refusal") or ""), reasoning


def wanted_usage(recording: Recording) -> Usage | None:
    usage = recording.expected.get("usage")
    if not usage or usage["input_tokens"] is None:
        return None
    raw = recording.expected.get("raw_usage") or recording.sidecar.get("raw_usage") or {}
    return DIALECTS[recording.api].usage(usage, raw)


def wanted_finish(recording: Recording) -> str | None:
    finish = OUR_WORD.get(recording.id, recording.expected.get("finish_reason_normalized"))
    if finish == "stop" and recording.expected.get("refusal"):
        return FinishReason.REFUSAL
    if finish == "stop" and recording.api == "ollama-chat" and recording.expected.get("tool_calls"):
        return FinishReason.TOOL_CALLS
    return finish


def check(recording: Recording, got: Read, way: str = "") -> None:
    assert (got.text, got.reasoning) == wanted_words(recording), way
    assert got.usage == wanted_usage(recording), way
    finish = recording.expected.get("finish_reason_normalized")
    if finish == "error":
        assert isinstance(got.error, ProviderError) and not isinstance(got.error, BrokenStream), way
    elif recording.expected.get("incomplete") or recording.id in WITHOUT_END:
        assert isinstance(got.error, BrokenStream), way
    else:
        assert (got.error, got.finish) == (None, wanted_finish(recording)), way


def test_there_is_something_to_read():
    assert {recording.api for recording in RECORDINGS} == set(DIALECTS)
    assert len(RECORDINGS) > 100
    assert len(MORE) > 120


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.id)
async def test_a_recording_reads_the_same_in_every_framing_and_cut(recording):
    dialect = DIALECTS[recording.api]
    for way, pieces in deliveries(recording):
        check(recording, await read(dialect.reader, pieces, dialect.new_body), way)


@pytest.mark.parametrize("recording", MORE, ids=lambda r: r.id)
async def test_a_recording_of_another_provider_reads_the_same_in_every_cut(recording):
    dialect = DIALECTS[recording.api]
    for way, pieces in few_cuts(recording.body):
        check(recording, await read(dialect.reader, pieces, dialect.new_body), way)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.id)
async def test_a_recording_reads_the_same_over_http(recording):
    dialect = DIALECTS[recording.api]
    for way, pieces in list(cuts(recording.body))[::4]:
        async with serving(replay(pieces, headers=content_type(recording))) as server:
            got = await over_http(dialect.adapter(None, base_url=f"{server.url}/", api_key="key"), QUESTION)

        check(recording, got, way)
        (request,) = server.requests
        name, value = dialect.key
        assert (request.method, request.path) == ("POST", dialect.path)
        assert request.headers[name] == value
        assert "key" not in request.path.replace("/key", "")


def content_type(recording: Recording) -> dict[str, str]:
    return {"content-type": recording.headers.get("content-type", "text/event-stream")}


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.id)
async def test_a_recording_cut_anywhere_is_never_passed_off_as_whole(recording):
    dialect = DIALECTS[recording.api]
    whole = await read(dialect.reader, [recording.body], dialect.new_body)
    for part in range(1, 8):
        cut = recording.body[: len(recording.body) * part // 8]
        got = await read(dialect.reader, [cut], dialect.new_body)

        assert whole.text.startswith(got.text)
        # Nothing is missing of an answer that is given as whole; where the provider calls every
        # piece the last one, and the body ends well between two of them, nobody could tell.
        if recording.body.count(b"finishReason") <= 1:
            assert got.error is not None or got.text == whole.text
