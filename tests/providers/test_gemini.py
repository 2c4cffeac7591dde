"""Gemini: what no recording shows."""

import json
from typing import Any

import pytest

from providers.adapters import reading
from providers.adapters.gemini import GeminiAdapter, GeminiReader, build_body
from providers.base import ChatMessage, ChatRequest, ModelInfo, Role, Usage
from providers.errors import BrokenStream, InvalidCredentials, ModelNotFound, ProviderOverloaded, RateLimited

from .reading import over_http, read
from .recordings import WIRE
from .wire_server import plain, replay, serving

QUESTION = ChatRequest("gemini-2.5-flash", (ChatMessage("user", "Hi"),))


def chunks(*payloads: Any) -> list[bytes]:
    return [f"data: {json.dumps(payload)}\r\n\r\n".encode() for payload in payloads]


def said(*parts: Any, finish: str | None = None, **rest: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish}
    return {"candidates": [candidate], **rest}


def test_the_conversation_is_sent_with_its_own_names():
    turns: list[tuple[Role, str]] = [
        ("system", "Be brief."),
        ("user", "a"),
        ("assistant", "b"),
        ("assistant", ""),
        ("user", "c"),
    ]

    body = build_body(
        ChatRequest("gemini-2.0-flash", tuple(ChatMessage(*turn) for turn in turns), 0.5, 0.9, 100)
    )

    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [(c["role"], c["parts"]) for c in body["contents"]] == [
        ("user", [{"text": "a"}]),
        ("model", [{"text": "b"}]),
        ("user", [{"text": "c"}]),
    ]
    assert body["generationConfig"] == {"temperature": 0.5, "topP": 0.9, "maxOutputTokens": 100}


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-pro", None, {"includeThoughts": True}),
        ("models/gemini-2.5-pro", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("gemini-3-flash-preview", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.5-flash", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-2.0-flash", "low", None),
        ("gemma-3-27b-it", None, None),
    ],
)
def test_thoughts_are_asked_for_where_there_are_some(model, effort, config):
    body = build_body(ChatRequest(model, QUESTION.messages, None, reasoning_effort=effort))

    assert body.get("generationConfig", {}).get("thinkingConfig") == config


async def test_the_wish_for_thoughts_is_left_out_the_second_time_where_there_are_none():
    error = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Thinking is not enabled for x"}}
    answers = [
        plain(400, json.dumps(error).encode()),
        replay(chunks(said({"text": "Hi"}, finish="STOP"))),
    ]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish) == ("Hi", "stop")
    assert "thinkingConfig" not in server.requests[1].json["generationConfig"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("a/x?key=1#a", "a%2Fx%3Fkey%3D1%23a"),
    ],
)
async def test_a_model_stays_in_its_place_in_the_url(model, path):
    async with serving(replay(chunks(said({"text": "Hi"}, finish="STOP")))) as server:
        adapter = GeminiAdapter(None, base_url=f"{server.url}/v1beta", api_key="secret")
        await over_http(adapter, ChatRequest(model, QUESTION.messages))

    assert server.requests[0].path == f"/v1beta/models/{path}:streamGenerateContent?alt=sse"
    assert server.requests[0].headers["x-goog-api-key"] == "secret"


@pytest.mark.parametrize(
    "model", ["", ".", "..", "models/..", "../../x", "a/../b", "a\\..", "a//b", "models/"]
)
async def test_a_model_that_would_lead_elsewhere_is_not_asked_for(model):
    async with serving(plain(200, b"{}")) as server:
        adapter = GeminiAdapter(None, base_url=f"{server.url}/v1beta", api_key="secret")
        got = await over_http(adapter, ChatRequest(model, QUESTION.messages))

    assert isinstance(got.error, ModelNotFound)
    assert server.requests == []


@pytest.mark.parametrize("base", ["", "/v1beta", "/v1/projects/p/locations/l/publishers/google"])
async def test_the_version_may_be_left_out_of_the_base_url(base):
    async with serving(replay(chunks(said({"text": "Hi"}, finish="STOP")))) as server:
        await over_http(GeminiAdapter(None, base_url=server.url + base, api_key="k"), QUESTION)

    assert server.requests[0].path.startswith(f"{base or '/v1beta'}/models/")


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        ("SOMETHING_NEW", "other"),
    ],
)
async def test_the_providers_word_for_its_end_is_translated(word, finish):
    got = await read(GeminiReader, chunks(said({"text": "Hi"}), said(finish=word)))

    assert (got.text, got.finish) == ("Hi", finish)


async def test_a_tool_call_is_told_although_it_says_stop():
    got = await read(GeminiReader, chunks(said({"functionCall": {"name": "f"}}, finish="STOP")))

    assert got.finish == "tool_calls"


async def test_a_blocked_question_is_told_as_such():
    got = await read(GeminiReader, chunks({"promptFeedback": {"blockReason": "SAFETY"}}))

    assert (got.text, got.finish, got.error) == ("", "content_filter", None)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 4}, Usage(5, 7, 4)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 4}, Usage(5, 4, 4)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 2}, Usage(5, None, None, 2)),
        ({}, None),
        ("x", None),
    ],
)
async def test_usage_counts_thoughts_as_written(usage, counts):
    got = await read(GeminiReader, chunks(said({"text": "Hi"}, finish="STOP", usageMetadata=usage)))

    assert got.usage == counts


@pytest.mark.parametrize("bare", [True, False])
async def test_an_error_in_mid_stream_is_raised(bare):
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    last = [json.dumps(error, indent=2).encode()] if bare else chunks(error)

    got = await read(GeminiReader, [*chunks(said({"text": "Hal"}, finish="STOP")), *last])

    assert (got.text, type(got.error)) == ("Hal", ProviderOverloaded)


async def test_an_error_as_an_array_is_understood():
    error = [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
                        "details": [{"reason": "API_KEY_INVALID"}]}}]  # fmt: skip
    for status in (200, 400):
        async with serving(plain(status, json.dumps(error).encode())) as server:
            got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

        assert isinstance(got.error, InvalidCredentials)


async def test_a_quota_tells_how_long_to_wait():
    error = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota",
                       "details": [{"@type": "RetryInfo", "retryDelay": "48s"}]}}  # fmt: skip
    async with serving(plain(429, json.dumps(error).encode())) as server:
        got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, RateLimited)
    assert got.error.retry_after == 48


END = said({"text": "lo"}, finish="STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2})


@pytest.mark.parametrize(
    "pieces",
    [
        [said({"text": "Hal"}, finish="STOP")],
        [said({"text": "H"}, finish="STOP"), said({"text": "al"}, finish="STOP")],
        # What came with the second piece was no end.
        [said({"text": "H"}), said({"text": "a"}, finish="STOP"), said({"text": "l"}, finish="STOP")],
    ],
)
async def test_a_connection_lost_is_broken_where_every_piece_has_a_finish_reason(pieces):
    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(*pieces))
        wire.writer.close()

    async with serving(answer) as server:
        got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, type(got.error)) == ("Hal", BrokenStream)


@pytest.mark.parametrize("lost", [True, False])
async def test_a_finish_reason_that_only_the_last_piece_has_is_the_end(lost, monkeypatch):
    monkeypatch.setattr(reading, "LINGER", 0.2)

    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(said({"text": "Hel"}), END))
        if lost:
            wire.writer.close()
        await wire.hung_up(30)

    async with serving(answer) as server:
        got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, got.error, got.usage) == ("Hello", "stop", None, Usage(1, 2))


async def test_a_server_that_falls_silent_after_its_only_piece_has_ended(set_limits):
    set_limits(idle_seconds=1)

    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(END))
        await wire.hung_up(30)

    async with serving(answer) as server:
        got = await over_http(GeminiAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, got.error) == ("lo", "stop", None)


@pytest.mark.parametrize(
    "noise",
    [
        {},
        {"candidates": None},
        {"candidates": [None, {"content": None}, {"content": {"parts": None}}]},
        {"candidates": [{"content": {"parts": [None, {"text": None}, {"inlineData": {}}]}}]},
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "another answer"}]}}]},
        {"promptFeedback": {"safetyRatings": []}},
    ],
)
async def test_what_is_unknown_is_passed_over(noise):
    got = await read(GeminiReader, chunks(noise, said({"text": "Hi"}), noise, said(finish="STOP"), noise))

    assert (got.text, got.finish) == ("Hi", "stop")


async def test_models_are_listed_page_by_page():
    listed = json.loads((WIRE / "models-lists" / "gemini.json").read_text())["body"]
    more = {"models": [
        {"name": "models/embedding-1", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/m", "supportedGenerationMethods": ["generateContent"], "inputTokenLimit": 9},
    ]}  # fmt: skip

    async def answer(wire):
        page = more if "pageToken" in wire.request.path else {**listed, "nextPageToken": "t/="}
        await plain(200, json.dumps(page).encode())(wire)

    async with serving(answer) as server:
        models = await GeminiAdapter(None, base_url=server.url, api_key="k").list_models()

    assert models[0] == ModelInfo("gemini-2.5-flash", "Gemini 2.5 Flash", 1048576)
    assert models[-1] == ModelInfo("m", None, 9)
    assert all("embedding" not in model.id for model in models)
    assert server.requests[1].path == "/v1beta/models?pageSize=1000&pageToken=t%2F%3D"
