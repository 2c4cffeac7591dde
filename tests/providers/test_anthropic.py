"""Anthropic messages: what no recording shows."""

import json
from typing import Any

import pytest

from providers.adapters.anthropic import AnthropicAdapter, MessagesReader, build_body
from providers.base import ChatMessage, ChatRequest, ModelInfo, Role, TextDelta, Usage
from providers.errors import (
    BrokenStream,
    EmptyAnswer,
    InvalidCredentials,
    ProviderOverloaded,
    ProviderRejected,
    WrongAddress,
)

from .reading import over_http, read
from .recordings import WIRE
from .wire_server import plain, replay, serving

MODEL = "claude-sonnet-4-5"


def asked(*turns: tuple[Role, str], model: str = MODEL, **rest: Any) -> dict[str, Any]:
    return build_body(ChatRequest(model, tuple(ChatMessage(*turn) for turn in turns), **rest))


def events(*payloads: dict[str, Any]) -> list[bytes]:
    return [f"event: {p.get('type')}\ndata: {json.dumps(p)}\n\n".encode() for p in payloads]


def said(text: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def stopped(reason: str = "end_turn") -> list[dict[str, Any]]:
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}}
    return [delta, {"type": "message_stop"}]


QUESTION = ChatRequest(MODEL, (ChatMessage("user", "Hi"),))


def test_the_conversation_is_sent_in_turns():
    body = asked(
        ("system", "Be brief."),
        ("assistant", "(before the user)"),
        ("user", "a"),
        ("user", "b"),
        ("assistant", " "),
        ("assistant", "c"),
        ("system", "In French."),
        ("user", "d"),
        ("assistant", "To be continued \n"),
    )

    assert body["system"] == "Be brief.\n\nIn French."
    assert body["messages"] == [
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": "To be continued"},
    ]
    assert body["stream"] is True


KEPT = ChatRequest(
    MODEL,
    (
        ChatMessage("system", "Be brief.", keep=True),
        ChatMessage("user", "a", keep=True),
        ChatMessage("assistant", "b"),
        ChatMessage("user", "c"),
    ),
)
MARK = {"cache_control": {"type": "ephemeral"}}


def test_what_will_be_sent_again_is_marked_for_the_cache():
    body = build_body(KEPT)

    assert body["system"] == [{"type": "text", "text": "Be brief."} | MARK]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"} | MARK]},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]


@pytest.mark.parametrize(
    "words",
    [
        "messages.0.content.0.text: cache_control is not supported",
        "system: Input should be a valid string",
        "content must be a string",
    ],
)
async def test_a_server_that_knows_no_cache_is_asked_again_in_plain_texts(words):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    answers = [plain(400, json.dumps(error).encode()), replay(events(said("Hi"), *stopped()))]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), KEPT)

    assert got.text == "Hi"
    body = json.loads(server.requests[-1].body)
    assert body["system"] == "Be brief."
    assert [message["content"] for message in body["messages"]] == ["a", "b", "c"]


def test_a_limit_is_always_sent():
    assert asked(("user", "a"), max_output_tokens=77)["max_tokens"] == 77
    assert asked(("user", "a"))["max_tokens"] == 32000


def test_parameters_are_sent_as_they_are_wanted():
    assert asked(("user", "a"), temperature=1.5)["temperature"] == 1.0
    both = asked(("user", "a"), temperature=0.2, top_p=0.9)
    assert both["temperature"] == 0.2 and both["top_p"] == 0.9
    assert asked(("user", "a"), temperature=None, top_p=0.9)["top_p"] == 0.9


def test_thinking_takes_less_than_the_limit_and_no_temperature():
    body = asked(("user", "a"), reasoning_effort="high", max_output_tokens=4000)

    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3999}
    assert "temperature" not in body
    assert "thinking" not in asked(("user", "a"), reasoning_effort="low", max_output_tokens=500)


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("max_tokens: 32000 > 8192, which is the maximum allowed", {"max_tokens": 8192}),
        (
            "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease either",
            {"max_tokens": 10000},
        ),
        ("`temperature` is deprecated for this model.", {"temperature": None}),
        ("thinking is not supported by this model", {"thinking": None, "temperature": 0.7, "top_p": 0.9}),
        (
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and'
            ' "output_config.effort" to control thinking behavior.',
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}, "temperature": None},
        ),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            {"top_p": None},
        ),
        ("`top_p` is deprecated for this model.", {"top_p": None}),
    ],
)
async def test_what_the_model_does_not_take_is_changed_the_second_time(message, changed):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    answers = [plain(400, json.dumps(error).encode()), replay(events(said("Hi"), *stopped()))]

    async def answer(wire):
        await answers.pop(0)(wire)

    effort = "low" if "thinking" in changed else None
    request = ChatRequest(MODEL, QUESTION.messages, top_p=0.9, reasoning_effort=effort)
    async with serving(answer) as server:
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), request)

    assert (got.text, got.finish) == ("Hi", "stop")
    first, second = (request.json for request in server.requests)
    assert first != second
    for name, value in changed.items():
        assert second.get(name) == value


async def test_a_model_that_takes_no_sampling_at_all_is_asked_without():
    def refused(name):
        error = {"type": "invalid_request_error", "message": f"`{name}` is deprecated for this model."}
        return plain(400, json.dumps({"type": "error", "error": error}).encode())

    async def answer(wire):
        left = [name for name in ("temperature", "top_p") if name in wire.request.json]
        await (refused(left[0]) if left else replay(events(said("Hi"), *stopped())))(wire)

    async with serving(answer) as server:
        request = ChatRequest(MODEL, QUESTION.messages, top_p=0.9)
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), request)

    assert (got.text, len(server.requests)) == ("Hi", 3)


async def test_a_limit_that_moves_is_followed_once():
    async def answer(wire):
        most = wire.request.json["max_tokens"]
        said = {"error": {"message": f"max_tokens: {most} > {most - 1}, which is the maximum"}}
        await plain(400, json.dumps(said).encode())(wire)

    async with serving(answer) as server:
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (type(got.error), len(server.requests)) == (ProviderRejected, 2)


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "other"),
        ("something new", "other"),
    ],
)
async def test_the_providers_word_for_its_end_is_translated(word, finish):
    got = await read(MessagesReader, events(said("Hi"), *stopped(word)))

    assert got.finish == finish


async def test_a_block_may_begin_with_text_and_only_text_is_text():
    got = await read(
        MessagesReader,
        events(
            {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": "hm"}},
            {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "!"}},
            {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}},
            {"type": "content_block_start", "content_block": {"type": "text", "text": "H"}},
            said("i"),
            {"type": "content_block_start", "content_block": {"type": "tool_use", "input": {"text": "no"}}},
            {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "no"}},
            {"type": "content_block_delta", "delta": {"type": "brand_new_delta", "text": "no"}},
            *stopped(),
        ),
    )

    assert (got.reasoning, got.text) == ("hm!", "Hi")


async def test_usage_counts_the_cache_and_the_last_word_holds():
    start = {
        "type": "message_start",
        "message": {
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3}
        },
    }
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 7, "input_tokens": None, "cache_read_input_tokens": 6},
    }

    got = await read(MessagesReader, events(start, said("Hi"), last))

    assert got.usage == Usage(19, 7, None, 6)
    assert got.finish == "stop"


async def test_usage_is_told_as_soon_as_it_is_known():
    """The answer may be stopped at any moment; what it says of the output at first is no count yet."""
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}

    got = await read(MessagesReader, events(start, said("Hi")))

    assert got.parts[:2] == [Usage(10), TextDelta("Hi")]


async def test_usage_is_told_of_an_answer_that_failed():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    got = await read(MessagesReader, events(start, said("Hal"), error))

    assert (got.text, type(got.error)) == ("Hal", ProviderOverloaded)
    assert got.usage == Usage(10, 1)


async def test_an_overload_before_the_first_word_is_tried_again():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10}}}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    answers = [replay(events(start, error)), replay(events(start, said("Hi"), *stopped()))]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, len(server.requests)) == ("Hi", "stop", 2)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (events(said("Hal")), BrokenStream),
        ([*events(said("Hal")), b"event: message_delta\ndata: {"], BrokenStream),
        ([b"event: ping\ndata: {}\n\n"], EmptyAnswer),
    ],
)
async def test_an_end_that_does_not_come_is_broken(body, error):
    assert type((await read(MessagesReader, body)).error) is error


async def test_an_answer_that_was_not_streamed_is_read_whole():
    body = {
        "type": "message",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi"}],
        "stop_reason": "max_tokens",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    async with serving(plain(200, json.dumps(body).encode())) as server:
        got = await over_http(AnthropicAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.reasoning, got.text, got.finish, got.usage) == ("hm", "Hi", "length", Usage(3, 2))


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
async def test_the_version_in_the_base_url_makes_no_difference(base):
    async with serving(replay(events(said("Hi"), *stopped()))) as server:
        await over_http(AnthropicAdapter(None, base_url=server.url + base, api_key="secret"), QUESTION)

    request = server.requests[0]
    assert request.path == "/v1/messages"
    assert (request.headers["x-api-key"], request.headers["anthropic-version"]) == ("secret", "2023-06-01")


async def test_models_are_listed_page_by_page():
    listed = json.loads((WIRE / "models-lists" / "anthropic.json").read_text())["body"]
    first = {**listed, "has_more": True, "last_id": "a&b"}
    more = {"data": [{"id": "m", "max_input_tokens": 9}], "has_more": False}

    async def answer(wire):
        page = more if "after_id" in wire.request.path else first
        await plain(200, json.dumps(page).encode())(wire)

    async with serving(answer) as server:
        models = await AnthropicAdapter(None, base_url=server.url, api_key="k").list_models()

    assert models[0] == ModelInfo("claude-opus-4-5-20251101", "Claude Opus 4.5")
    assert models[-1] == ModelInfo("m", None, 9)
    assert [request.path for request in server.requests] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=a%26b",
    ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(401, b'{"type":"error","error":{"type":"authentication_error"}}'), InvalidCredentials),
        (plain(200, b"<html>"), WrongAddress),
        (plain(200, b'{"models": 3}'), WrongAddress),
        (plain(200, b"nope"), WrongAddress),
    ],
)
async def test_a_list_that_does_not_come_tells_why(answer, error):
    async with serving(answer) as server:
        with pytest.raises(error):
            await AnthropicAdapter(None, base_url=server.url, api_key="k").list_models()


async def test_pages_without_end_are_not_followed_for_ever():
    async with serving(plain(200, b'{"data":[{"id":"m"}],"has_more":true,"last_id":"m"}')) as server:
        models = await AnthropicAdapter(None, base_url=server.url, api_key="k").list_models()

    assert models == [ModelInfo("m")]
    assert len(server.requests) == 20
