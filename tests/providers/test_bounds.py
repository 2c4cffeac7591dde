"""A provider that sends little and costs much: what it may cost is bounded, and it holds up nobody else."""

import asyncio
import json
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from providers import decoding
from providers.adapters import anthropic, gemini, ollama, openai
from providers.adapters.reading import DONE, MAX_MODELS, objects
from providers.base import ChatMessage, ChatRequest
from providers.errors import AnswerTooLarge, BrokenStream, ProviderError
from providers.sse import MAX_EVENT_LINES, Decoder, TooLong
from providers.text import MAX_CONTAINERS, load_json

from .reading import over_http
from .wire_server import plain, replay, serving

QUESTION = ChatRequest("m", (ChatMessage("user", "Hi"),))
MB = 1 << 20
SAID = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'


async def held_up(work: Awaitable[Any]) -> tuple[Any, float]:
    """Return what the work gives, and the most seconds of CPU it took before others had their turn."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            since = time.process_time()
            await asyncio.sleep(0.01)
            longest = max(longest, time.process_time() - since)

    watching = asyncio.create_task(watch())
    try:
        await asyncio.sleep(0.02)
        result = await work
        await asyncio.sleep(0.02)
    finally:
        watching.cancel()
    return result, longest


def pieces(body: bytes) -> list[bytes]:
    return [body[i : i + 65536] for i in range(0, len(body), 65536)]


COSTLY = {
    "an event of lines": b"data:x\n" * (MB // 2) + b"\n",
    "an event of numbers, and its end missing": SAID + b"data:1\n" * (MB // 2),
    "an event of small objects": b'data: {"choices":[' + b"{}," * MB + b"{}]}\n\n",
    "a document of small objects": b"[" + b"{}," * MB + b"{}]",
    "a document of lines": b"{}\n" * MB,
    "lines without data": SAID + b"id\n" * (MB * 2),
    "small events": b"data:1\n\n" * MB,
}


@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY)
async def test_nobody_is_held_up_by_what_is_dear_to_read(body):
    async with serving(replay(pieces(body))) as server:
        asked = over_http(openai.OpenAIAdapter(None, base_url=server.url, api_key=""), QUESTION)
        got, longest = await held_up(asked)

    assert isinstance(got.error, AnswerTooLarge | BrokenStream)
    # It was 2 to 10 seconds, and 60 with the largest event.
    assert longest < 1


LISTS = {
    "openai": (openai.OpenAIAdapter, b'{"data":['),
    "anthropic": (anthropic.AnthropicAdapter, b'{"data":['),
    "gemini": (gemini.GeminiAdapter, b'{"models":['),
    "ollama": (ollama.OllamaAdapter, b'{"models":['),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("entry", [b"{}", b"[]", b"1", b'""'])
async def test_nobody_is_held_up_by_a_list_of_nothing(name, entry):
    adapter, start = LISTS[name]
    body = start + (entry + b",") * MB + entry + b"]}"
    async with serving(plain(200, body)) as server:
        listing = adapter(None, base_url=server.url, api_key="").list_models()
        got, longest = await held_up(asyncio.gather(listing, return_exceptions=True))

    assert got == [[]] or isinstance(got[0], ProviderError)
    assert longest < 1


def test_only_so_much_of_a_list_is_looked_at():
    class Entry(dict[str, Any]):
        looked = 0

        def get(self, *args: Any) -> Any:
            Entry.looked += 1
            return super().get(*args)

    assert openai.parse_models({"data": [Entry() for _ in range(50_000)]}) == []
    assert Entry.looked < 200_000
    listed = [{"id": str(number)} for number in range(50_000)]
    assert len(openai.parse_models(listed)) == MAX_MODELS


def test_json_is_parsed_only_where_it_is_not_made_of_brackets():
    assert len(load_json(b"[" + b"{}," * (MAX_CONTAINERS - 2) + b"{}]")) == MAX_CONTAINERS - 1
    for costly in (b"{}", b"[]", b'{"a":[]}'):
        with pytest.raises(ValueError):
            load_json(b"[" + (costly + b",") * MAX_CONTAINERS + b"1]")
    code = json.dumps({"text": "if (a[0]) { b() }\n" * 10_000}).encode()
    assert len(load_json(code)["text"]) == 180_000


def test_several_objects_are_taken_apart_and_anything_else_is_not():
    assert objects(b'{"a": 1}\n\n {"b": 2}\n[DONE]\n') == [{"a": 1}, {"b": 2}, DONE]
    assert objects(b"ping") == objects(b" ") == []
    for junk in (b'{"a": 1}\nx', b'x\n{"a": 1}', b"x\nx", b'{"a": 1}\n{"b"', b"{}\n" * 5000):
        with pytest.raises(BrokenStream):
            objects(junk)


def test_an_event_and_an_answer_have_only_so_many_lines(monkeypatch):
    decoder = Decoder()
    event = b"data:\n" * MAX_EVENT_LINES
    assert len(decoder.feed(event + b"\n")) == 1
    with pytest.raises(TooLong):
        decoder.feed(event + b"data:\n")
    monkeypatch.setattr("providers.sse.MAX_LINES", 10_000)
    for line in (b"id\n", b"\n", b":\n", b"data: 1\n\n", b"data: 1\r\n\r\n"):
        decoder = Decoder()
        decoder.feed(line * 5000)
        with pytest.raises(TooLong):
            decoder.feed(line * 5001)


def test_a_body_of_lines_has_only_so_many_of_them(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_LINES", 50_000)
    body = decoding.LineBody()
    for _ in range(5):
        body.feed(b"\n" * 10_000)

    with pytest.raises(AnswerTooLarge):
        body.feed(b"\n" * 10_000)


async def test_an_answer_without_empty_lines_may_be_long():
    lines = SAID.replace(b"\n\n", b"\n") * 4000 + b"data: [DONE]\n"
    async with serving(replay([lines])) as server:
        got = await over_http(openai.OpenAIAdapter(None, base_url=server.url, api_key=""), QUESTION)

    assert (got.error, got.text) == (None, "hi" * 4000)
