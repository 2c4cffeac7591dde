"""A provider that means harm: keys repeated, numbers, depths and names that nothing can take."""

import copy
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.adapters import anthropic, gemini, ollama, openai, responses
from providers.adapters.azure import AzureAdapter
from providers.adapters.reading import MAX_LIST_BYTES, bounded, count, joined, model_info, total
from providers.adapters.think import ThinkTags
from providers.base import ChatMessage, ChatRequest, ReasoningDelta, TextDelta, Usage
from providers.error_mapping import fault_in_stream, fault_of_response
from providers.errors import AddressRefused, ProviderError
from providers.transport import close_shared, get_json

from .reading import over_http
from .recordings import Recording, recordings
from .wire_server import plain, replay, serving

KEY = "MySecretPassphrase.With.Dots.Zq7"
QUESTION = ChatRequest("m", (ChatMessage("user", "Hi"),))
ADAPTERS: list[Callable[..., Any]] = [
    openai.OpenAIAdapter,
    responses.ResponsesAdapter,
    AzureAdapter,
    anthropic.AnthropicAdapter,
    gemini.GeminiAdapter,
    ollama.OllamaAdapter,
]
DENIED = {"error": {"message": f"denied for credential {KEY} sorry", "code": 500, "type": f"t-{KEY}"}}


def answers() -> dict[str, Any]:
    said = json.dumps(DENIED).encode()
    return {
        "in a stream": replay([b"data: " + said + b"\n\n"]),
        "as a line": replay([said + b"\n"]),
        "as a document": plain(200, said),
        "as a refusal": plain(400, said),
        "in a broken head": replay([], headers={f"x {KEY}": "y"}),
    }


@pytest.mark.parametrize("make", ADAPTERS)
@pytest.mark.parametrize("way", answers())
async def test_no_fault_repeats_the_key_it_was_asked_with(make, way):
    async with serving(answers()[way]) as server:
        got = await over_http(make(None, base_url=server.url, api_key=KEY), QUESTION)
        try:
            listed: Any = await make(None, base_url=server.url, api_key=KEY).list_models()
        except ProviderError as exc:
            listed = exc

    assert isinstance(got.error, ProviderError)
    for fault in (got.error, listed):
        assert "mysecret" not in (str(fault) + repr(fault)).lower()


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "xn--a"])
async def test_a_name_that_cannot_be_looked_up_is_an_address_refused(host, monkeypatch):
    # As if the check of the text had let it through: names are judged anew by every layer.
    monkeypatch.setattr("providers.transport._checked", lambda url, **_: httpx.URL(url))

    with pytest.raises(AddressRefused):
        await get_json(None, f"http://{host}/v1/models", headers={})
    await close_shared()


@pytest.mark.parametrize(
    "value",
    [2**53, int("9" * 30), int("9" * 4200), -1, True, 1.5, 1e30, float("nan"), float("inf"), "7 of", None],
)
def test_what_is_no_count_of_tokens_is_not_counted(value):
    assert count({"n": value}, "n") is None
    assert count({"n": value, "m": 3}, "n", "m") == 3
    usage = {
        "prompt_tokens": value,
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": value},
        "prompt_tokens_details": {"cached_tokens": value},
        "total_tokens": value,
    }
    assert openai.parse_usage(usage) == Usage(None, 2)


def test_counts_are_added_up_only_so_far():
    most = 2**53 - 1

    assert count({"n": most}, "n") == most
    assert (total(1, None, 2), total(most, 1)) == (3, None)
    assert anthropic.parse_usage({"input_tokens": most, "cache_read_input_tokens": most}) == Usage(
        None, None, None, most
    )
    assert gemini.parse_usage({"candidatesTokenCount": most, "thoughtsTokenCount": 1}) == Usage(
        None, None, 1, None
    )


def test_a_list_holds_only_so_much():
    models = bounded(model_info(f"{number:0200}", "字" * 300) for number in range(5000))

    assert 0 < sum(len(f"{model.id}{model.name}".encode()) for model in models) <= MAX_LIST_BYTES
    assert len(bounded(model_info(str(number)) for number in range(5000))) == 2000
    assert [model_info("\ud800"), model_info("a\0"), model_info("x" * 201), model_info(3)] == [None] * 4


NESTED = json.loads("[" * 900 + "]" * 900)
NESTED_TEXT = json.loads('{"text":' * 900 + "1" + "}" * 900)


def test_text_may_be_nested_deeply():
    assert joined(NESTED) == joined(NESTED_TEXT) == ""
    assert joined([{"text": ["a", {"text": "b"}]}, "c"]) == "abc"


@pytest.mark.parametrize("start", [" ", "<think>x"])
def test_white_space_without_end_costs_no_more_than_other_text(start):
    tags, shown = ThinkTags(), 0
    tags.feed(start)

    begun = time.process_time()
    for _ in range(100_000):
        shown += sum(
            len(part.text) for part in tags.feed(" ") if isinstance(part, TextDelta | ReasoningDelta)
        )

    # Holding all of it back would take 5 to 10 seconds.
    assert time.process_time() - begun < 3
    assert shown > 90_000


READERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "chat.completions": (openai.ChatReader, openai.parse_models),
    "responses": (responses.ResponsesReader, openai.parse_models),
    "messages": (anthropic.MessagesReader, anthropic.parse_models),
    "streamGenerateContent": (gemini.GeminiReader, gemini.parse_models),
    "ollama-chat": (ollama.OllamaReader, ollama.parse_models),
}
ODD = [
    None,
    True,
    -1,
    2**63,
    10**30,
    1e308,
    "",
    "\0",
    "\ud800",
    "\udfff\ud83d",
    "9" * 5000,
    f"try again in {'9' * 400}h1.5s",
    [],
    {},
    [[]],
    {"text": None},
    NESTED,
    NESTED_TEXT,
    {"message": NESTED, "code": 10**400, "details": [{"retryDelay": "9" * 500 + "s"}]},
]


def _events(recording: Recording) -> list[Any]:
    found = []
    for line in recording.body.split(b"\n"):
        try:
            found.append(json.loads(line.removeprefix(b"data:").strip()))
        except ValueError:
            continue
    return [event for event in found if isinstance(event, dict)][:40]


def _places(value: Any, depth: int = 20) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value where something else could stand."""
    if not depth:
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, inner in items:
        found += [(value, key), *_places(inner, depth - 1)]
    return found


RECORDED = {
    api: [events for recording in recordings(api) if (events := _events(recording))] for api in READERS
}


def test_there_is_something_recorded_to_spoil():
    assert sum(bool(recorded) for recorded in RECORDED.values()) == 5


@pytest.mark.parametrize("api", [api for api, recorded in RECORDED.items() if recorded])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_spoilt_answer_gives_clean_parts_or_a_providers_error(api, data):
    events = copy.deepcopy(data.draw(st.sampled_from(RECORDED[api])))
    places = [place for event in events for place in _places(event)]
    for _ in range(data.draw(st.integers(1, 4))):
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = ODD[data.draw(st.integers(0, len(ODD) - 1))]
    reader, parse_models = READERS[api][0](), READERS[api][1]
    parts: list[Any] = []
    fault: ProviderError | None = None
    try:
        for event in events:
            parts += reader.feed(json.dumps(event).encode())
        parts += reader.rest()
        reader.finished(None)
    except ProviderError as exc:
        fault = exc
    for answer in (events[-1], {"data": events, "models": events}):
        try:
            models = parse_models(answer)
        except ProviderError:
            continue
        for model in models:
            assert model.id.encode() and len(model.id) <= 200
            assert model.name is None or (model.name.encode() and len(model.name) <= 200)

    for part in parts:
        if isinstance(part, TextDelta | ReasoningDelta):
            assert part.text.encode() and "\0" not in part.text
        elif isinstance(part, Usage):
            counts = (part.input_tokens, part.output_tokens, part.reasoning_tokens, part.cached_tokens)
            assert all(n is None or 0 <= n < 2**53 for n in counts)
    if fault is not None:
        assert fault.detail.isprintable() and fault.detail.encode() is not None


@settings(max_examples=100, deadline=None)
@given(data=st.data(), status=st.integers(300, 599))
def test_a_spoilt_error_is_a_providers_error(data, status):
    recording = data.draw(st.sampled_from(recordings("http-error")))
    try:
        payload = json.loads(recording.body)
    except ValueError:
        payload = {"error": recording.body.decode("utf-8", "replace")}
    # All of them before anything is put in: what is put in is not to be changed.
    places = _places(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = ODD[data.draw(st.integers(0, len(ODD) - 1))]
    headers = {
        name: data.draw(st.sampled_from(["1", "inf", "nan", "9" * 400, "-5", "1e400", "٣", "Mon, 1"]))
        for name in ("retry-after", "retry-after-ms")
    }

    for fault in (fault_in_stream(payload), fault_of_response(status, headers, json.dumps(payload).encode())):
        assert fault.detail.isprintable() and len(fault.detail) <= 500
        assert fault.retry_after is None or 0 <= fault.retry_after <= 3600
