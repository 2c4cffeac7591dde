"""Ollama's own protocol and Azure's paths: what no recording shows."""

import json
from typing import Any

import pytest

from providers.adapters.azure import API_VERSION, FOUNDRY_VERSION, AzureAdapter
from providers.adapters.ollama import OllamaAdapter, OllamaReader, build_body
from providers.base import ChatMessage, ChatRequest, ModelInfo, Usage
from providers.decoding import LineBody
from providers.errors import (
    BrokenStream,
    ContentBlocked,
    ModelNotFound,
    ProviderError,
    ProviderOverloaded,
    WrongAddress,
    WrongVersion,
)

from .reading import Read, over_http
from .reading import read as read_stream
from .wire_server import plain, replay, serving

QUESTION = ChatRequest("qwen3", (ChatMessage("user", "Hi"),))


def lines(*payloads: dict[str, Any]) -> list[bytes]:
    return [json.dumps(payload).encode() + b"\n" for payload in payloads]


def said(text: str = "", **rest: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text, **rest}, "done": False}


def done(reason: str | None = "stop", **rest: Any) -> dict[str, Any]:
    return {**said(), "done": True, "done_reason": reason, **rest}


async def read(pieces: list[bytes]) -> Read:
    return await read_stream(OllamaReader, pieces, LineBody)


def test_parameters_are_sent_as_options():
    body = build_body(ChatRequest("m", QUESTION.messages, 0.5, 0.9, 100, "low"))

    assert body["options"] == {"temperature": 0.5, "top_p": 0.9, "num_predict": 100}
    assert (body["stream"], body["think"]) == (True, "low")
    windowed = build_body(ChatRequest("m", QUESTION.messages, None, context_window=65536))
    assert windowed["options"] == {"num_ctx": 65536}
    assert set(build_body(ChatRequest("m", QUESTION.messages, None))) == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    ("reason", "finish"), [("stop", "stop"), (None, "stop"), ("length", "length"), ("load", "other")]
)
async def test_the_end_is_told_as_it_was(reason, finish):
    got = await read(lines(said("Hi"), done(reason, prompt_eval_count=3, eval_count=2)))

    assert (got.text, got.finish, got.usage) == ("Hi", finish, Usage(3, 2))


async def test_thinking_is_told_apart_wherever_it_stands():
    by_field = await read(lines(said(thinking="hm"), said("<think> is a tag"), done()))
    by_tag = await read(lines(said("<thi"), said("nk>hm</think>"), said("\n\nHi"), done()))

    assert (by_field.reasoning, by_field.text) == ("hm", "<think> is a tag")
    assert (by_tag.reasoning, by_tag.text) == ("hm", "Hi")


async def test_a_tool_call_is_told_although_it_says_stop():
    got = await read(lines(said(tool_calls=[{"function": {"name": "f", "arguments": {}}}]), done()))

    assert got.finish == "tool_calls"


async def test_an_error_in_mid_stream_is_raised():
    got = await read(lines(said("Hal"), {"error": "llama runner process has terminated"}))

    assert (got.text, type(got.error)) == ("Hal", ProviderError)
    assert "runner" in got.error.detail


@pytest.mark.parametrize("last", [b"", b'{"message":{"content":"x"', b"\n\n"])
async def test_an_end_that_does_not_come_is_broken(last):
    got = await read([*lines(said("Hal")), last])

    assert (got.text, type(got.error)) == ("Hal", BrokenStream)


@pytest.mark.parametrize("noise", [{}, {"message": None}, {"message": {"content": 3, "thinking": []}}])
async def test_what_is_unknown_is_passed_over(noise):
    got = await read(lines(noise, said("Hi"), noise, done()))

    assert (got.text, got.finish) == ("Hi", "stop")


@pytest.mark.parametrize("base", ["", "/", "/v1", "/api"])
async def test_the_base_url_of_its_other_sides_will_do(base):
    async with serving(replay(lines(said("Hi"), done()))) as server:
        got = await over_http(OllamaAdapter(None, base_url=server.url + base, api_key=""), QUESTION)

    assert (got.text, got.finish) == ("Hi", "stop")
    assert server.requests[0].path == "/api/chat"
    assert "authorization" not in server.requests[0].headers


async def test_the_wish_to_think_is_left_out_the_second_time_where_the_model_does_not():
    answers = [
        plain(400, b'{"error":"\\"m\\" does not support thinking"}'),
        replay(lines(said("Hi"), done())),
    ]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        request = ChatRequest("m", QUESTION.messages, reasoning_effort="low")
        got = await over_http(OllamaAdapter(None, base_url=server.url, api_key=""), request)

    assert got.text == "Hi"
    assert "think" not in server.requests[1].json


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(404, b'{"error":"model \'x\' not found"}'), ModelNotFound),
        (plain(404, b"404 page not found"), WrongAddress),
        (plain(503, b'{"error":"server busy"}', {"retry-after": "60"}), ProviderOverloaded),
        (plain(200, b"<html>"), WrongAddress),
    ],
)  # fmt: skip
async def test_a_failure_is_understood(answer, error):
    async with serving(answer) as server:
        got = await over_http(OllamaAdapter(None, base_url=server.url, api_key=""), QUESTION)

    assert type(got.error) is error


async def test_local_models_are_listed():
    body = {"models": [{"name": "qwen3:8b", "model": "qwen3:8b"}, {"name": "old"}, {}, None]}
    async with serving(plain(200, json.dumps(body).encode())) as server:
        models = await OllamaAdapter(None, base_url=server.url, api_key="").list_models()

    assert models == [ModelInfo("qwen3:8b"), ModelInfo("old")]
    assert server.requests[0].path == "/api/tags"


# --- Azure ------------------------------------------------------------------------------------------------

DEPLOYMENT = "/openai/deployments/my%20gpt%2F4/chat/completions"
ANSWER = replay(
    [b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
)


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", f"{DEPLOYMENT}?api-version={API_VERSION}"),
        ("/openai/", f"{DEPLOYMENT}?api-version={API_VERSION}"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/openai/v1/", "/openai/v1/chat/completions"),
        ("/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/v1?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
        ("/openai?api-version=2024-06-01", f"{DEPLOYMENT}?api-version=2024-06-01"),
        ("/openai/deployments/other", f"{DEPLOYMENT}?api-version={API_VERSION}"),
        (
            "/openai/deployments/other/chat/completions?api-version=2025-01-01-preview",
            f"{DEPLOYMENT}?api-version=2025-01-01-preview",
        ),
        ("/models", f"/models/chat/completions?api-version={FOUNDRY_VERSION}"),
        ("/models/chat/completions?api-version=x", "/models/chat/completions?api-version=x"),
    ],
)
async def test_azure_is_asked_by_deployment_or_by_its_newer_paths(base, path):
    async with serving(ANSWER) as server:
        adapter = AzureAdapter(None, base_url=server.url + base, api_key="secret")
        got = await over_http(adapter, ChatRequest("my gpt/4", QUESTION.messages))

    assert (got.text, got.finish) == ("Hi", "stop")
    assert server.requests[0].path == path
    assert server.requests[0].headers["api-key"] == "secret"
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("model", ["", ".", "..", "../../x", "a/..", "a\\..\\b"])
async def test_a_deployment_that_would_lead_elsewhere_is_not_asked_for(model):
    async with serving(plain(200, b"{}")) as server:
        got = await over_http(
            AzureAdapter(None, base_url=server.url, api_key="k"), ChatRequest(model, QUESTION.messages)
        )

    assert isinstance(got.error, ModelNotFound)
    assert server.requests == []


async def test_azures_filter_is_told_as_such():
    body = {"error": {"code": "content_filter", "message": "The response was filtered",
                      "innererror": {"code": "ResponsibleAIPolicyViolation"}}}  # fmt: skip
    async with serving(plain(400, json.dumps(body).encode())) as server:
        got = await over_http(AzureAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, ContentBlocked)


async def test_an_older_model_is_asked_with_the_older_name_the_second_time():
    refusal = {"error": {"message": "Unrecognized request argument supplied: max_completion_tokens"}}
    answers = [plain(400, json.dumps(refusal).encode()), ANSWER]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        adapter = AzureAdapter(
            None, base_url=server.url, api_key="k", quirks=frozenset({"max_completion_tokens"})
        )
        got = await over_http(adapter, ChatRequest("m", QUESTION.messages, max_output_tokens=9))

    assert got.text == "Hi"
    assert server.requests[1].json["max_tokens"] == 9
    assert "max_completion_tokens" not in server.requests[1].json


async def test_azures_models_that_can_chat_are_listed():
    body = {"data": [
        {"id": "gpt-4o", "capabilities": {"chat_completion": True}},
        {"id": "ada", "capabilities": {"chat_completion": False}},
    ]}  # fmt: skip
    async with serving(plain(200, json.dumps(body).encode())) as server:
        models = await AzureAdapter(None, base_url=server.url, api_key="k").list_models()

    assert models == [ModelInfo("gpt-4o")]
    assert server.requests[0].path == f"/openai/models?api-version={API_VERSION}"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", f"/openai/models?api-version={API_VERSION}"),
        ("/openai?api-version=2024-06-01", "/openai/models?api-version=2024-06-01"),
        ("/models", f"/openai/models?api-version={API_VERSION}"),
        ("/openai/v1", "/openai/v1/models"),
    ],
)
async def test_azures_list_is_found_from_any_of_its_addresses(base, path):
    async with serving(plain(200, b'{"data":[]}')) as server:
        await AzureAdapter(None, base_url=server.url + base, api_key="k").list_models()

    assert server.requests[0].path == path


async def test_a_model_that_wants_a_newer_version_says_so():
    message = "Model o3 is enabled only for api versions 2024-12-01-preview and later"
    body = {"error": {"code": "BadRequest", "message": message}}
    async with serving(plain(400, json.dumps(body).encode())) as server:
        got = await over_http(AzureAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert type(got.error) is WrongVersion
    assert "api-version=" in str(got.error.text)
