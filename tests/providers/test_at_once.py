"""Text that is passed on the moment it comes, past the generator that is waiting for it."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from providers.adapters.anthropic import AnthropicAdapter
from providers.adapters.openai import OpenAIAdapter
from providers.base import ChatMessage, ChatRequest, Finished, TextDelta
from providers.connections import Connection
from providers.errors import AnswerTooLarge, BrokenStream, ProviderTimeout

from .reading import over_http
from .wire_server import Wire, replay, serving

QUESTION = ChatRequest(model="m", messages=(ChatMessage("user", "Hi"),))


def said(text: str, **extra: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **extra}
    return b"data: " + json.dumps({"id": "x", "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


END = said("", finish_reason="stop") + b"data: [DONE]\n\n"
WORDS = [f"词{number} 🐟 " for number in range(40)]


class Unheard(asyncio.Transport):
    def write(self, data: object) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def adapter(url: str) -> OpenAIAdapter:
    return OpenAIAdapter(None, base_url=url, api_key="k")


async def test_most_of_an_answer_comes_at_once_and_in_order():
    async with serving(replay([*map(said, WORDS), END], pause=0.005)) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "".join(WORDS)
    assert got.at_once > 30
    assert (got.error, got.finish) == (None, "stop")


async def test_so_does_one_of_anthropics():
    def event(**data: object) -> bytes:
        return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()

    pieces = [
        event(type="message_start", message={"usage": {"input_tokens": 3, "output_tokens": 0}}),
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": w}) for w in WORDS),
        event(type="content_block_stop", index=0),
        event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        event(type="message_stop"),
    ]
    async with serving(replay(pieces, pause=0.005)) as server:
        anthropic = AnthropicAdapter(None, base_url=server.url, api_key="k")
        got = await over_http(anthropic, ChatRequest("claude", QUESTION.messages))

    assert (got.text, got.finish) == ("".join(WORDS), "stop")
    assert got.at_once > 30


async def test_events_cut_anywhere_are_put_together():
    body = b"".join([*map(said, WORDS), END])
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    async with serving(replay(pieces, pause=0.0005)) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "".join(WORDS)
    assert got.at_once > 10
    assert got.finish == "stop"


async def test_nobody_has_to_take_it():
    async with serving(replay([*map(said, WORDS), END], pause=0.002)) as server:
        parts = adapter(server.url).stream(QUESTION)
        texts = [part.text async for part in parts if isinstance(part, TextDelta)]

    assert "".join(texts) == "".join(WORDS)


async def test_it_counts_against_the_greatest_length(set_limits):
    set_limits(answer_chars=2000)
    async with serving(replay([said("lorem ipsum ")] * 500, pause=0.001)) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert len(got.text) == 2000
    assert isinstance(got.error, AnswerTooLarge)
    assert got.at_once > 30


async def test_what_was_held_back_of_an_event_counts_as_well(set_limits):
    set_limits(answer_chars=1000)
    long = said("L" * 300)
    pieces = [*[said("0123456789")] * 99, long[:-10], long[-10:], END]
    async with serving(replay(pieces, pause=0.002)) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "0123456789" * 99 + "L" * 10
    assert isinstance(got.error, AnswerTooLarge)


async def test_a_provider_that_speaks_is_not_idle_and_one_that_stops_is(set_limits):
    set_limits(idle_seconds=0.5)

    async def answer(wire: Wire) -> None:
        await wire.head()
        for word in WORDS[:20]:
            await wire.send(said(word))
            await asyncio.sleep(0.05)
        await wire.hung_up()

    async with serving(answer) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "".join(WORDS[:20])
    assert got.at_once > 10
    assert isinstance(got.error, ProviderTimeout)
    # Twenty pauses of 0.05 s, and the silence behind the last of them.
    assert got.seconds > 1.4


async def test_what_came_before_a_break_is_there():
    async def answer(wire: Wire) -> None:
        await wire.head()
        for word in WORDS[:10]:
            await wire.send(said(word))
            await asyncio.sleep(0.01)
        wire.writer.transport.abort()

    async with serving(answer) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "".join(WORDS[:10])
    assert isinstance(got.error, BrokenStream)


async def test_nothing_is_offered_while_nobody_waits():
    taken: list[bytes] = []

    def take(chunk: bytes) -> bool:
        taken.append(chunk)
        return True

    connection = Connection()
    connection.connection_made(Unheard())
    connection.taker = take  # before anything was asked, as one that was left behind
    asking = asyncio.create_task(connection.ask(b"", b""))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
    await asking
    connection.taker = take
    connection.data_received(b"1\r\nb\r\n")
    assert await connection.read() == b"ab"

    reading = asyncio.create_task(connection.read())
    await asyncio.sleep(0)
    connection.data_received(b"1\r\nc\r\n")
    assert taken == [b"c"]
    reading.cancel()
    connection.data_received(b"1\r\nd\r\n")
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert taken == [b"c"]

    assert await connection.read() == b"d"
    reading = asyncio.create_task(connection.read())
    await asyncio.sleep(0)
    # What comes with the end goes the way of the end.
    connection.data_received(b"1\r\ne\r\n0\r\n\r\n")
    assert await asyncio.wait_for(reading, 5) == b"e"
    assert taken == [b"c"]


async def test_nothing_is_taken_behind_the_end():
    pieces = [*map(said, WORDS), b"data: [DONE]\n\n", *map(said, WORDS)]
    async with serving(replay(pieces, pause=0.005)) as server:
        got = await over_http(adapter(server.url), QUESTION)

    assert got.text == "".join(WORDS)
    assert (got.error, got.finish) == (None, "stop")


async def test_a_fault_of_the_taker_ends_the_reading_and_the_connection():
    def full(text: str) -> None:
        raise RuntimeError("no room")

    async with serving(replay([*map(said, WORDS), END], pause=0.01)) as server:
        with pytest.raises(RuntimeError, match="no room"):
            async with aclosing(adapter(server.url).stream(replace(QUESTION, on_text=full))) as parts:
                async for part in parts:
                    assert not isinstance(part, Finished)
        await asyncio.wait_for(server.left.wait(), 5)
