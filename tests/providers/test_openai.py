"""OpenAI chat completions: what no recording shows. The recordings are in test_recordings.py."""

import asyncio
import json
from typing import Any

import pytest

from providers.adapters import reading
from providers.adapters.openai import (
    FIXED_TEMPERATURE,
    MAX_COMPLETION_TOKENS,
    NO_STREAM_OPTIONS,
    ChatReader,
    OpenAIAdapter,
    build_body,
    parse_models,
    parse_usage,
)
from providers.base import ChatMessage, ChatRequest, Finished, FinishReason, ModelInfo, TextDelta, Usage
from providers.errors import (
    BrokenStream,
    ContentBlocked,
    InvalidCredentials,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    WrongAddress,
)

from .reading import over_http, read
from .recordings import WIRE, recordings
from .wire_server import plain, replay, serving

QUESTION = ChatRequest(model="m", messages=(ChatMessage("system", "Be brief."), ChatMessage("user", "Hi")))


async def test_openrouters_error_is_raised_after_the_usage_that_follows_it():
    recording = next(r for r in recordings("chat.completions") if r.id == "openrouter/error-mid-stream")

    got = await read(ChatReader, [recording.body])

    assert isinstance(got.error, ProviderRejected)
    assert "Token limit reached" in got.error.detail
    assert got.usage == Usage(43, 10, 11, 0)


def chunks(*payloads: Any, end: bytes = b"data: [DONE]\n\n") -> list[bytes]:
    lines = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads]
    return [b"data: %b\n\n" % line for line in lines] + [end]


def delta(content: Any = None, finish: str | None = None, **rest: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **rest}, "finish_reason": finish}]}


async def test_an_answer_that_was_not_streamed_is_read_whole():
    body = {
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    for text in (json.dumps(body), json.dumps(body, indent=2)):
        async with serving(plain(200, text.encode())) as server:
            got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key=""), QUESTION)

        assert (got.text, got.finish, got.usage) == ("Hi!", "stop", Usage(3, 2))
        assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_bare_error_in_a_200_is_that_error(indent):
    body = {
        "error": {"message": "Incorrect API key provided: sk-abcdefghijklmnop", "code": "invalid_api_key"}
    }
    async with serving(plain(200, json.dumps(body, indent=indent).encode())) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, InvalidCredentials)
    assert "abcdefgh" not in got.error.detail


@pytest.mark.parametrize("headers", [{"content-type": "text/html"}, {"content-type": "text/event-stream"}])
async def test_a_web_page_in_a_200_tells_of_a_wrong_address(headers):
    async with serving(plain(200, b"\n<!doctype html><title>Hi</title>", headers)) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, WrongAddress)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b": ping\n\n: ping\n\n", ""),
        (b"data: [DONE]\n\n", ""),
        (b'data: {"choices":[{"delta":{"content":"Hal"}}]}\n\n', "Hal"),
        (b'data: {"choices":[{"delta":{"content":"Hal"}}]}\n\ndata: {"choi', "Hal"),
        (b'data: {"choices":[{"delta":{"content":"Hal"}}]}\n\ndata: {"choi\n\ndata: [DONE]\n\n', "Hal"),
        (b'data: {"choices":[{"delta":{"content":"Hal"}}]}\n\ndata: <html>\n\n', "Hal"),
        (b'data: {"a":' + b"[" * 200_000 + b"\n\n", ""),
    ],
)
async def test_what_does_not_end_or_cannot_be_read_is_broken(body, text):
    async with serving(replay([body] if body else [])) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert isinstance(got.error, BrokenStream)
    assert got.text == text


@pytest.mark.parametrize(
    "noise",
    [
        b"event: ping\ndata: ping\n\n",
        b"data:\n\n",
        b"event: brand-new\ndata: {}\n\n",
        b'data: {"object":"something.else","value":[1]}\n\n',
        b"data: null\n\ndata: 1\n\ndata: []\n\n",
        b'data: {"choices":null}\n\n',
        b'data: {"choices":[null,{"delta":null},{"index":0}]}\n\n',
        b'data: {"choices":[{"delta":{"content":5,"reasoning":{},"refusal":[]}}],"usage":7,"x_groq":1}\n\n',
    ],
)
async def test_what_is_unknown_is_passed_over(noise):
    answer = chunks(delta("Hi"), delta(None, "stop"))
    got = await read(ChatReader, [noise, answer[0], noise, *answer[1:]])

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("function_call", "tool_calls"),
        ("something new", "other"),
    ],
)
async def test_the_providers_word_for_its_end_is_translated(word, finish):
    got = await read(ChatReader, chunks(delta("Hi", word), delta(None, None)))

    assert got.finish == finish


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("error", ProviderFailed),
        ("network_error", ProviderFailed),
        ("insufficient_system_resource", ProviderOverloaded),
    ],
)
async def test_an_end_that_is_a_failure_is_no_end(word, error):
    got = await read(ChatReader, chunks(delta("Hi"), delta(None, word)))

    assert (got.text, type(got.error)) == ("Hi", error)


async def test_the_end_marker_is_not_waited_behind():
    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hi"), delta(None, "stop")))
        wire.server.hung_up.append(await wire.hung_up())

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish) == ("Hi", "stop")
    assert got.seconds < 3


async def test_a_connection_is_used_again_although_its_end_comes_behind_the_end_marker(monkeypatch):
    # However slow the machine is that this runs on.
    monkeypatch.setattr(reading, "GRACE", 2)

    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hi"), delta(None, "stop")))
        await asyncio.sleep(0.01)
        await wire.end()

    async with serving(answer) as server:
        adapter = OpenAIAdapter(None, base_url=server.url, api_key="k")
        for _ in range(3):
            assert (await over_http(adapter, QUESTION)).finish == "stop"

    assert (len(server.requests), server.connections) == (3, 1)


async def test_a_server_that_falls_silent_after_the_finish_reason_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(reading, "LINGER", 0.2)

    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hi"), delta(None, "stop"), end=b": bye\n\n"))
        await wire.hung_up()
        wire.server.left.set()

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)
        await asyncio.wait_for(server.left.wait(), 2)

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)
    assert got.seconds < 4


async def test_what_drips_after_the_finish_reason_is_not_waited_for_either(monkeypatch):
    monkeypatch.setattr(reading, "LINGER", 0.4)

    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hi"), delta(None, "stop"), end=b": bye\n\n"))
        while True:
            await asyncio.sleep(0.05)
            await wire.send(b'data: {"choices":[]}\n\n')

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)
    assert got.seconds < 10


async def test_text_after_a_finish_reason_is_waited_for(monkeypatch):
    """Some servers give a reason with every piece."""
    monkeypatch.setattr(reading, "LINGER", 1)

    async def answer(wire):
        await wire.head()
        for _ in range(8):
            await wire.send(chunks(delta("x", "stop"))[0])
            await asyncio.sleep(0.2)
        await wire.end()

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish) == ("x" * 8, "stop")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'event: error\ndata: {"message":"Overloaded","code":529}\n\n', ProviderOverloaded),
        (b'event: error\ndata: {"error":{"message":"Overloaded","code":529}}\n\n', ProviderOverloaded),
        (b"event: error\ndata: Something broke\n\n", ProviderError),
        (b"event: error\ndata: {}\n\n", ProviderError),
        (b'data: {"object":"error","message":"CUDA out of memory","code":500}\n\n', ProviderFailed),
        (b'data: {"error":{}}\n\n', ProviderError),
        (b'data: {"error":"No."}\n\n', ProviderError),
    ],
)
async def test_an_error_in_mid_stream_is_never_taken_for_an_end(event, kind):
    got = await read(ChatReader, [*chunks(delta("Hal"), end=event), b"data: [DONE]\n\n"])

    assert (got.text, type(got.error)) == ("Hal", kind)


async def test_no_error_in_every_piece_is_none():
    piece = {**delta("Hi"), "error": None}

    got = await read(ChatReader, chunks(piece, {**piece, "error": False}, {**piece, "error": ""}))

    assert (got.text, got.error) == ("HiHiHi", None)


async def test_a_connection_lost_after_the_finish_reason_costs_only_the_usage():
    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hi"), delta(None, "stop"), end=b": bye\n\n"))
        wire.writer.close()

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)


async def test_a_connection_lost_before_it_is_broken():
    async def answer(wire):
        await wire.head()
        await wire.send(*chunks(delta("Hal"), end=b": bye\n\n"))
        wire.writer.close()

    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert (got.text, type(got.error)) == ("Hal", BrokenStream)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("a\\u0000b", "a�b"),
        ("a\\ud800b", "a�b"),
        ("\\ud83d\\ude00", "😀"),
        ("\\udc00", "�"),
        ("caf\\u00e9 \\ud83d", "café �"),
    ],
)
async def test_what_cannot_be_stored_is_replaced_and_nothing_else_is_lost(escaped, text):
    payload = b'{"choices":[{"delta":{"content":"%b"},"finish_reason":"stop"}]}' % escaped.encode()

    got = await read(ChatReader, chunks(payload))

    assert got.text == text
    assert got.text.encode()


async def test_a_character_cut_in_two_halves_is_put_together():
    halves = [b'{"choices":[{"delta":{"%b":"\\u%b"}}]}' % (key, code)
              for key in (b"reasoning", b"content") for code in (b"d83d", b"de00")]  # fmt: skip

    got = await read(ChatReader, chunks(*halves, delta("", "stop")))

    assert (got.reasoning, got.text) == ("😀", "😀")


async def test_bytes_that_are_no_utf8_lose_no_more_than_themselves():
    got = await read(
        ChatReader, chunks(b'{"choices":[{"delta":{"content":"a\xff\xe4b"}}]}', delta("", "stop"))
    )

    assert got.text.startswith("a�") and got.text.endswith("b")


@pytest.mark.parametrize(
    ("pieces", "reasoning", "text"),
    [
        (["<think>", "a", "</think>", "b"], "a", "b"),
        (
            ["\n <thi", "nk>\n a <b> < /think> \n</th", "ink>\n\n", "b", "</think>c"],
            "a <b> < /think>",
            "b</think>c",
        ),
        (["<think></think>b"], "", "b"),
        (["<think>a"], "a", ""),
        (["<think>a</thin"], "a</thin", ""),
        (["<thin"], "", "<thin"),
        (["a <think>b</think>"], "", "a <think>b</think>"),
        (["<thinker>b"], "", "<thinker>b"),
        (["\n\n", "b"], "", "\n\nb"),
    ],
)
async def test_reasoning_in_tags_is_told_from_the_text(pieces, reasoning, text):
    whole = "".join(pieces)
    for cut in (pieces, [whole], list(whole)):
        got = await read(ChatReader, chunks(*(delta(piece) for piece in cut), delta("", "stop")))

        assert (got.reasoning, got.text) == (reasoning, text), cut


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ([{"reasoning_content": "a"}, {"reasoning_content": "b"}], "ab"),
        (
            [
                {"reasoning": "a", "reasoning_details": [{"text": "a"}]},
                {"reasoning_details": [{"text": "a"}]},
            ],
            "a",
        ),
        ([{"reasoning": "a", "reasoning_content": "a"}], "a"),
        ([{"reasoning_details": [{"summary": "a"}, {"text": "b"}, {"data": "x"}, {"text": None}]}], "ab"),
        ([{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}], "a"),
        ([{"content": [{"type": "thinking", "thinking": "a"}]}], "a"),
    ],
)
async def test_reasoning_is_found_wherever_it_is_put(fields, reasoning):
    payloads = [{"choices": [{"delta": field}]} for field in fields]

    got = await read(ChatReader, chunks(*payloads, delta([{"type": "text", "text": "Hi"}], "stop")))

    assert (got.reasoning, got.text) == (reasoning, "Hi")


async def test_a_tag_is_text_where_reasoning_has_a_field_of_its_own():
    got = await read(ChatReader, chunks(delta("", reasoning="hm"), delta("<think> is a tag", "stop")))

    assert (got.reasoning, got.text) == ("hm", "<think> is a tag")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3}, Usage(5, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "cached_tokens": 2}, Usage(5, 3, None, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "prompt_cache_hit_tokens": 2}, Usage(5, 3, None, 2)),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 303,
                "completion_tokens_details": {"reasoning_tokens": 290},
            },
            Usage(12, 291, 290),
        ),
        ({"prompt_tokens": None, "completion_tokens": "7"}, Usage(None, 7)),
        ("lots", None),
        ({"prompt_tokens": 4, "completion_tokens_details": 1}, Usage(4)),
    ],
)
def test_usage_counts_everything_once(usage, counts):
    assert parse_usage(usage) == counts


async def test_usage_is_told_as_soon_as_it_is_known_and_the_last_word_holds():
    growing = [{**delta("a"), "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in (1, 2, 3)]

    got = await read(ChatReader, chunks(*growing, {**delta("", "stop"), "usage": None}))

    assert [part for part in got.parts if not isinstance(part, TextDelta)] == [
        Usage(1, 1),
        Usage(1, 2),
        Usage(1, 3),
        Finished(FinishReason.STOP),
    ]


@pytest.mark.parametrize(
    "streamed",
    [
        [delta("Hel"), delta("lo")],
        [{"choices": [{"delta": {"reasoning_content": "hm"}}]}, delta("Hel"), delta("lo")],
        [{"choices": [{"delta": {"reasoning_content": "hm"}}]}],
        [],
    ],
)
async def test_a_whole_message_at_the_end_repeats_nothing(streamed):
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "hm"}
    last = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    got = await read(ChatReader, chunks(*streamed, last))

    assert (got.text, got.reasoning, got.finish) == ("Hello", "hm", "stop")


def test_parameters_are_sent_as_they_are_wanted():
    request = ChatRequest("m", QUESTION.messages, 0.2, 0.9, 100, "low")

    body = build_body(request)

    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.2, 0.9, 100)
    assert body["reasoning_effort"] == "low"
    assert body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in build_body(request, frozenset({NO_STREAM_OPTIONS}))
    assert build_body(request, frozenset({MAX_COMPLETION_TOKENS}))["max_completion_tokens"] == 100


@pytest.mark.parametrize(
    ("model", "fixed"),
    [
        ("o3-mini", True),
        ("gpt-5.2", True),
        ("gpt-5-chat-latest", False),
        ("gpt-4o", False),
        ("openai/o1", True),
    ],
)
def test_openais_reasoning_models_are_not_told_a_temperature(model, fixed):
    body = build_body(ChatRequest(model, QUESTION.messages), frozenset({FIXED_TEMPERATURE}))

    assert ("temperature" not in body) is fixed


def test_a_parameter_that_is_none_is_not_sent():
    body = build_body(ChatRequest("m", QUESTION.messages, temperature=None))

    assert set(body) == {"model", "messages", "stream", "stream_options"}


async def test_a_parameter_the_model_does_not_take_is_left_out_the_second_time():
    refusals = [
        {"message": "Unsupported parameter: 'max_tokens' is not supported", "param": "max_tokens"},
        {"message": "invalid temperature: only 1 is allowed for this model", "type": "invalid_request_error"},
    ]

    async def answer(wire):
        if refusals:
            await plain(400, json.dumps({"error": refusals.pop(0)}).encode())(wire)
        else:
            await replay(chunks(delta("Hi", "stop")))(wire)

    async with serving(answer) as server:
        adapter = OpenAIAdapter(None, base_url=server.url, api_key="k")
        got = await over_http(adapter, ChatRequest("m", QUESTION.messages, max_output_tokens=9))

    assert (got.text, got.finish) == ("Hi", "stop")
    last = server.requests[-1].json
    assert len(server.requests) == 3
    assert last["max_completion_tokens"] == 9
    assert "temperature" not in last and "max_tokens" not in last


async def test_another_refusal_is_not_tried_again():
    body = {"error": {"message": "messages: must not be empty", "param": "messages"}}
    async with serving(plain(400, json.dumps(body).encode())) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)

    assert type(got.error) is ProviderRejected
    assert len(server.requests) == 1


async def test_a_filtered_answer_in_mid_stream_is_told_as_such():
    error = {
        "error": {
            "code": "data_inspection_failed",
            "message": "Output data may contain inappropriate content.",
        }
    }

    got = await read(ChatReader, chunks(delta("Hal"), error))

    assert (got.text, type(got.error)) == ("Hal", ContentBlocked)


@pytest.mark.parametrize(
    ("provider", "first"),
    [
        ("openai", ModelInfo("gpt-3.5-turbo-16k-0613")),
        ("mistral", ModelInfo("mistral-medium-2505", None, 131072)),
        ("deepseek", ModelInfo("deepseek-v4-flash")),
        ("openrouter", ModelInfo("bytedance-seed/seed-1.6-flash", "ByteDance Seed: Seed 1.6 Flash", 262144)),
        ("huggingface-router", ModelInfo("MiniMaxAI/MiniMax-M2.1", None, 204800)),
    ],
)
async def test_models_are_listed(provider, first):
    body = json.loads((WIRE / "models-lists" / f"{provider}.json").read_text())["body"]
    async with serving(plain(200, json.dumps(body).encode())) as server:
        models = await OpenAIAdapter(
            None, base_url=server.url, api_key="k", quirks=frozenset({"several_kinds"})
        ).list_models()

    assert models[0] == first
    assert server.requests[0].path == "/models"
    assert server.requests[0].headers["authorization"] == "Bearer k"


def test_odd_lists_of_models_are_read_as_far_as_they_go():
    assert parse_models([{"id": "a"}, {"id": "a"}, {"id": None}, 3]) == [ModelInfo("a")]
    assert parse_models({"data": [{"id": "x", "meta": {"n_ctx_train": 8}}]}) == [ModelInfo("x", None, 8)]
    with pytest.raises(WrongAddress):
        parse_models({"object": "list"})
