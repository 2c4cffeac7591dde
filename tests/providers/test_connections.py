"""A server that does what it likes with the connection itself."""

import asyncio
import gc
import json
import socket
import struct
import threading
from contextlib import aclosing, asynccontextmanager

import pytest

from providers import connections
from providers.adapters import openai
from providers.base import ChatMessage, ChatRequest
from providers.connections import MAX_HEADS
from providers.errors import (
    BrokenStream,
    ContextTooLong,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    WrongAddress,
)
from providers.transport import close_shared, stream_events

from .reading import batches, over_http
from .wire_server import plain, serving

QUESTION = ChatRequest("m", (ChatMessage("user", "Hi"),))
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def said(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


async def answer_of(url):
    return await over_http(openai.OpenAIAdapter(None, base_url=url, api_key=""), QUESTION)


# --- A request that nobody reads --------------------------------------------------------------------------


@asynccontextmanager
async def not_reading():
    """A server that accepts connections and reads nothing from them."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            await close_shared()


def connections_to(url: str) -> int:
    """Return how many sockets of this process are connected there."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    gc.collect()
    found = 0
    for one in gc.get_objects():
        if isinstance(one, socket.socket) and one.family == socket.AF_INET and one.fileno() >= 0:
            try:
                found += one.getpeername()[1] == port
            except OSError:
                continue
    return found


@pytest.mark.parametrize("ending", ["deadline", "cancelled"])
async def test_a_request_that_is_not_read_is_given_up_and_forgotten(ending, set_limits):
    set_limits(idle_seconds=0.5 if ending == "deadline" else 60)
    body = {"q": "x" * (12 << 20)}

    async def ask(url):
        async with aclosing(batches(stream_events(None, url, headers={}, body=body))) as found:
            return [batch async for batch in found]

    async with not_reading() as url:
        asking = asyncio.create_task(ask(url))
        await asyncio.sleep(0.3)
        assert connections_to(url) == 1
        if ending == "cancelled":
            asking.cancel()
        result = (await asyncio.gather(asking, return_exceptions=True))[0]
        await asyncio.sleep(0.3)

        assert connections_to(url) == 0
    assert isinstance(result, ProviderTimeout if ending == "deadline" else asyncio.CancelledError)


async def test_an_answer_begun_before_the_request_was_read_can_be_left():
    async with serving_raw(CHUNKED + chunk(b"data: 1\n\n"), read=False) as url:
        found = batches(stream_events(None, url, headers={}, body={"q": "x" * (12 << 20)}))
        await anext(found)
        assert connections_to(url) == 1
        await found.aclose()
        await asyncio.sleep(0.3)

        assert connections_to(url) == 0


async def test_a_question_has_a_greatest_size(set_limits):
    set_limits(request_bytes=1000)
    async with serving(plain(200, b"{}")) as server:
        with pytest.raises(ContextTooLong):
            await anext(batches(stream_events(None, server.url, headers={}, body={"q": "x" * 1000})))

    assert server.requests == []


# --- Names that nobody answers for ------------------------------------------------------------------------


async def test_names_that_hang_keep_nobody_else_from_connecting(monkeypatch, set_limits):
    set_limits(connect_seconds=5)
    answer = threading.Event()

    def getaddrinfo(host, port, **kwargs):
        if host.endswith(".silent.example"):
            answer.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with serving(plain(404, b"{}")) as server:
        hanging = [asyncio.create_task(answer_of(f"http://h{n}.silent.example/v1")) for n in range(60)]
        await asyncio.sleep(0.2)
        got = await answer_of(server.url.replace("127.0.0.1", "sound.example"))
        answer.set()
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    assert isinstance(got.error, WrongAddress)
    assert len(server.requests) == 1


async def test_a_silent_name_server_ends_at_the_connect_timeout(monkeypatch, set_limits):
    set_limits(connect_seconds=0.5)
    answer = threading.Event()
    asked = []

    def getaddrinfo(host, port, **kwargs):
        asked.append(host)
        answer.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        got = await answer_of("http://slow.example/v1")
    finally:
        answer.set()

    assert isinstance(got.error, ProviderTimeout)
    assert got.seconds < 1
    assert asked == ["slow.example"]


# --- An answer that is no HTTP any more -------------------------------------------------------------------


@asynccontextmanager
async def serving_raw(*pieces: bytes, read: bool = True, endless: bytes = b""):
    """A server that sends these pieces, then nothing or one without end, and keeps the connection open."""
    open_ = []

    async def connected(reader, writer):
        open_.append(writer)
        try:
            if read:
                await reader.readuntil(b"\r\n\r\n")
            else:
                writer.transport.pause_reading()
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.1)
            while endless:
                writer.write(endless)
                await writer.drain()
        except ConnectionError:
            pass

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        await close_shared()
        for writer in open_:
            writer.transport.abort()
        server.close()


async def test_a_broken_chunk_ends_the_answer_at_once():
    async with serving_raw(CHUNKED, chunk(said("one ") + said("two")), b"ZZZ\r\n") as url:
        got = await asyncio.wait_for(answer_of(url), 10)

    assert got.text == "one two"
    assert isinstance(got.error, BrokenStream)


async def test_what_came_with_the_broken_chunk_is_not_lost():
    together = chunk(said("one ") + said("two", "stop")) + b"ZZZ\r\n"
    for pieces in ([CHUNKED, together], [CHUNKED + together]):
        async with serving_raw(*pieces) as url:
            got = await asyncio.wait_for(answer_of(url), 10)

        assert (got.text, got.finish, got.error) == ("one two", "stop", None)


async def test_what_came_before_the_connection_broke_is_not_lost():
    arrived = []
    async with serving_raw(CHUNKED + chunk(b"data: 1\n\n"), chunk(b"data: 2\n\n") + b"ZZZ\r\n") as url:
        with pytest.raises(BrokenStream):
            async with aclosing(batches(stream_events(None, url, headers={}, body={}))) as found:
                async for batch in found:
                    # Ours is busy while the second piece comes, and with it the end.
                    await asyncio.sleep(0.5)
                    arrived += [event.data for event in batch]

    assert arrived == [b"1", b"2"]


ENDLESS = {
    "hints before the answer": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000),
    "large hints": (b"", b"HTTP/1.1 103 Early Hints\r\n" + b"link: %b\r\n" % (b"a" * 4000) * 16 + b"\r\n"),
    "answers nobody asked for": (b"", b"HTTP/1.1 204 No Content\r\n\r\n" * 1000),
    "an extension of a chunk": (CHUNKED + b"5;", b"x" * 65536),
    "chunks of one byte": (CHUNKED, b"1\r\n\n\r\n" * 5000),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n" * 5000),
}


@pytest.mark.parametrize("start, endless", ENDLESS.values(), ids=ENDLESS)
async def test_bytes_that_give_no_answer_are_counted(start, endless):
    async with serving_raw(start, endless=endless) as url:
        got = await asyncio.wait_for(answer_of(url), 30)

    # Not a timeout: with the usual limits it would come after two minutes, or fifteen.
    assert isinstance(got.error, BrokenStream | ProviderUnavailable)
    assert not isinstance(got.error, ProviderTimeout)


async def test_a_server_may_say_some_things_before_its_answer():
    hints = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * (
        MAX_HEADS - 2
    )
    whole = CHUNKED + chunk(said("one", "stop")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    for pieces in ([hints, whole], [hints + whole]):
        async with serving_raw(*pieces) as url:
            got = await answer_of(url)

        assert (got.text, got.error) == ("one", None)


async def test_much_of_a_little_at_a_time_is_still_an_answer():
    # Ten bytes of framing for every token, and more of them in all than is granted beforehand.
    body = b"".join(chunk(said("x")) for _ in range(20_000))
    async with serving_raw(CHUNKED + body + chunk(said("", "stop")) + b"0\r\n\r\n") as url:
        got = await answer_of(url)

    assert (len(got.text), got.error) == (20_000, None)


@pytest.mark.parametrize("location", ["http://[", "//", "http://a:b", "\u00e9", "http://127.0.0.1:1/"])
async def test_a_redirect_is_the_wrong_address_wherever_it_leads(location):
    async with serving(plain(302, b"", {"location": location})) as server:
        got = await answer_of(server.url)

    assert isinstance(got.error, WrongAddress)


async def test_a_connection_is_used_again_after_a_head_and_a_body_in_one_piece():
    async with serving(plain(404, b"{}")) as server:
        for _ in range(3):
            got = await answer_of(server.url)
            assert isinstance(got.error, ProviderError)

    assert (len(server.requests), server.connections) == (3, 1)


# --- A kept connection that ends --------------------------------------------------------------------------


def body_of(text: str) -> bytes:
    events = said(text, "stop") + b"data: [DONE]\n\n"
    return CHUNKED + chunk(events) + b"0\r\n\r\n"


async def closed(wire):
    pass


async def reset(wire):
    link = wire.writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def timed_out(wire):
    await wire.raw(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")


async def half_a_head(wire):
    await wire.raw(b"HTTP/1.1 200")


def ending(end, *, after_requests: int):
    """Answer a number of requests over each connection, and end it on the next."""

    async def answer(wire):
        before = wire.server.over_connection[wire.writer]
        wire.server.over_connection[wire.writer] += 1
        if before >= after_requests:
            await end(wire)
            raise ConnectionAbortedError
        await wire.raw(body_of(f"answer {len(wire.server.requests)}"))

    return answer


async def ask_twice(answer):
    async with serving(answer) as server:
        answers = [await answer_of(server.url), await answer_of(server.url)]
    return answers, len(server.requests), server.connections


@pytest.mark.parametrize("end", [closed, reset, timed_out])
async def test_a_kept_connection_that_ends_before_the_answer_is_not_noticed(end):
    (first, second), requests, made = await ask_twice(ending(end, after_requests=1))

    assert (first.text, second.text) == ("answer 1", "answer 3")
    assert (requests, made) == (3, 2)


@pytest.mark.parametrize("end", [closed, reset, timed_out])
async def test_a_new_connection_that_ends_is_a_fault(end):
    (first, _), requests, made = await ask_twice(ending(end, after_requests=0))

    assert isinstance(first.error, ProviderUnavailable)
    assert (requests, made) == (2, 2)


async def test_once_a_byte_of_the_answer_has_come_it_is_not_asked_for_again():
    (_, second), requests, _ = await ask_twice(ending(half_a_head, after_requests=1))

    assert isinstance(second.error, ProviderUnavailable)
    assert requests == 2


async def test_a_provider_that_worked_on_the_answer_is_not_asked_again(monkeypatch):
    monkeypatch.setattr(connections, "STALE_SECONDS", 0)

    (_, second), requests, _ = await ask_twice(ending(closed, after_requests=1))

    assert isinstance(second.error, ProviderUnavailable)
    assert requests == 2


async def test_a_second_connection_that_ends_is_the_last():
    async def first_only(wire):
        if len(wire.server.requests) > 1:
            raise ConnectionAbortedError
        await wire.raw(body_of("one"))

    (_, second), requests, _ = await ask_twice(first_only)

    assert isinstance(second.error, ProviderUnavailable)
    assert requests == 3


async def test_a_large_question_is_sent_whole_over_the_second_connection():
    bodies = []

    async def answer(wire):
        bodies.append(wire.request.body)
        if len(bodies) == 2:
            raise ConnectionAbortedError
        await wire.raw(body_of("yes"))

    question = ChatRequest("m", (ChatMessage("user", "长" * 400_000),))
    async with serving(answer) as server:
        adapter = openai.OpenAIAdapter(None, base_url=server.url, api_key="")
        answers = [(await over_http(adapter, question)).text for _ in "ab"]

    assert answers == ["yes", "yes"]
    assert len(bodies) == 3 and bodies[1] == bodies[2]
