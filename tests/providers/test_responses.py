"""OpenAI responses: what no recording shows."""

import json
from typing import Any

import pytest

from providers.adapters.openai import FIXED_TEMPERATURE
from providers.adapters.responses import ResponsesAdapter, ResponsesReader, build_body
from providers.base import ChatMessage, ChatRequest, ModelInfo, Usage
from providers.errors import BrokenStream, InvalidCredentials, ProviderError, QuotaExceeded

from .reading import over_http, read
from .wire_server import plain, replay, serving

QUESTION = ChatRequest(
    "m",
    (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Hello."),
        ChatMessage("user", "Bye"),
    ),
)


def events(*payloads: dict[str, Any]) -> list[bytes]:
    return [f"event: {p.get('type')}\ndata: {json.dumps(p)}\n\n".encode() for p in payloads]


def said(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def ended(kind: str = "completed", **response: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"status": kind} | response}


def test_the_conversation_is_sent_in_items():
    body = build_body(ChatRequest("m", QUESTION.messages, 0.5, 0.9, 100, "low"))

    assert body["instructions"] == "Be brief."
    assert [(item["role"], item["content"][0]["type"]) for item in body["input"]] == [
        ("user", "input_text"),
        ("assistant", "output_text"),
        ("user", "input_text"),
    ]
    assert [item["content"][0]["text"] for item in body["input"]] == ["Hi", "Hello.", "Bye"]
    assert (body["stream"], body["store"]) == (True, False)
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (0.5, 0.9, 100)
    assert body["reasoning"] == {"effort": "low"}


def test_a_reasoning_model_is_asked_for_a_summary_and_told_no_temperature():
    body = build_body(ChatRequest("gpt-5-mini", QUESTION.messages, 0.5, 0.9), frozenset({FIXED_TEMPERATURE}))

    assert body["reasoning"] == {"summary": "auto"}
    assert not {"temperature", "top_p"} & set(body)
    assert "reasoning" not in build_body(QUESTION, frozenset({FIXED_TEMPERATURE}))


async def test_a_summary_that_the_account_may_not_have_is_left_out_the_second_time():
    refusal = {
        "message": "Your organization must be verified to generate reasoning summaries.",
        "param": "reasoning.summary",
        "code": "unsupported_value",
    }
    answers = [plain(400, json.dumps({"error": refusal}).encode()), replay(events(said("Hi"), ended()))]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        adapter = ResponsesAdapter(
            None, base_url=server.url, api_key="k", quirks=frozenset({FIXED_TEMPERATURE})
        )
        got = await over_http(adapter, ChatRequest("gpt-5", QUESTION.messages, reasoning_effort="low"))

    assert (got.text, got.finish) == ("Hi", "stop")
    assert server.requests[1].json["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("last", "finish"),
    [
        (ended(), "stop"),
        (ended("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (ended("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (ended("incomplete", incomplete_details=None), "other"),
        (ended(output=[{"type": "function_call"}]), "tool_calls"),
        (ended(output=[{"type": "web_search_call"}, None]), "stop"),
        ({"type": "response.completed"}, "stop"),
    ],
)
async def test_the_end_is_told_as_it_was(last, finish):
    got = await read(ResponsesReader, events(said("Hi"), last))

    assert (got.text, got.finish, got.error) == ("Hi", finish, None)


@pytest.mark.parametrize(
    "failure",
    [
        [{"type": "error", "error": {"code": "insufficient_quota", "message": "No credit"}}],
        [{"type": "error", "code": "insufficient_quota", "message": "No credit", "param": None}],
        [{"error": {"code": "insufficient_quota", "message": "No credit"}}],
        [ended("failed", error={"code": "insufficient_quota", "message": "No credit"})],
    ],
)
async def test_a_failure_is_told_once_wherever_it_stands(failure):
    got = await read(ResponsesReader, events(said("Hal"), *failure, ended("failed", error={"code": "x"})))

    assert (got.text, type(got.error)) == ("Hal", QuotaExceeded)
    assert "No credit" in got.error.detail


async def test_a_failure_without_a_word_is_a_failure():
    got = await read(ResponsesReader, events(said("Hal"), ended("failed", error=None)))

    assert type(got.error) is ProviderError


@pytest.mark.parametrize("status", ["cancelled", "queued", "in_progress", "something new", None, 7])
@pytest.mark.parametrize("streamed", [True, False])
async def test_only_what_is_completed_is_whole(status, streamed):
    response = {"object": "response", "status": status, "output": []}
    if streamed:
        response["status"] = status or "unknown"
        got = await read(
            ResponsesReader, events(said("Hal"), {"type": "response.completed", "response": response})
        )
    else:
        got = await read(ResponsesReader, [json.dumps(response).encode()])

    assert (type(got.error), got.finish) == (BrokenStream, None)


async def test_an_end_that_does_not_come_is_broken():
    got = await read(ResponsesReader, [*events(said("Hal")), b"data: [DONE]\n\n"])

    assert (got.text, type(got.error)) == ("Hal", BrokenStream)


async def test_a_refusal_is_shown_and_told():
    got = await read(ResponsesReader, events({"type": "response.refusal.delta", "delta": "No."}, ended()))

    assert (got.text, got.finish) == ("No.", "refusal")


async def test_reasoning_told_in_two_ways_is_told_once():
    raw = {"type": "response.reasoning_text.delta", "delta": "a"}
    summary = {"type": "response.reasoning_summary_text.delta", "delta": "b"}

    got = await read(ResponsesReader, events(raw, summary, raw, said("Hi"), ended()))

    assert (got.reasoning, got.text) == ("aa", "Hi")


async def test_what_is_repeated_whole_is_not_said_twice():
    repeats: list[dict[str, Any]] = [
        {"type": "response.output_text.done", "text": "Hi"},
        {"type": "response.content_part.done", "part": {"type": "output_text", "text": "Hi"}},
        {"type": "response.output_item.done", "item": {"type": "message"}},
    ]
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
    ]
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "hm"}

    got = await read(ResponsesReader, events(thought, said("Hi"), *repeats, ended(output=output)))

    assert (got.reasoning, got.text) == ("hm", "Hi")


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_came_only_whole_is_said(streamed):
    whole: dict[str, Any] = {
        "object": "response",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}, None]},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "!"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "Hi"}, None]},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}},
    }
    answer = replay(events(ended(**whole))) if streamed else plain(200, json.dumps(whole, indent=1).encode())
    async with serving(answer) as server:
        got = await over_http(ResponsesAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, got.usage) == ("Hi", "stop", Usage(3, 2, 1))
    assert got.reasoning == "hm!"


@pytest.mark.parametrize(
    "noise",
    [
        {"type": "response.brand_new", "delta": "x"},
        {"type": "response.output_text.delta", "delta": None},
        {"type": "response.output_item.added", "item": None},
        {"type": "response.output_text.annotation.added", "annotation": {}},
        {},
    ],
)
async def test_what_is_unknown_is_passed_over(noise):
    got = await read(ResponsesReader, events(noise, said("Hi"), noise, ended()))

    assert (got.text, got.finish) == ("Hi", "stop")


async def test_a_wrong_key_is_told_as_such():
    body = b'{"error":{"message":"Incorrect API key provided: sk-abcdefgh12345","code":"invalid_api_key"}}'
    async with serving(plain(401, body)) as server:
        got = await over_http(ResponsesAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, InvalidCredentials)


async def test_models_are_listed():
    async with serving(plain(200, b'{"data":[{"id":"gpt-5"},{"id":"whisper-1"}]}')) as server:
        adapter = ResponsesAdapter(
            None, base_url=server.url, api_key="k", quirks=frozenset({"several_kinds"})
        )

        assert await adapter.list_models() == [ModelInfo("gpt-5")]
