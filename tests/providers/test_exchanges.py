"""One connection to a provider: what goes over it, exchange after exchange, and when it is used again."""

import asyncio
import socket
import ssl
import time

import httpx
import pytest

from providers import connections, transport
from providers.connections import Connection

from .test_transport import ask
from .wire_server import replay, serving


class Standing(asyncio.Transport):
    """A connection on which nothing more comes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = self.paused = False

    def write(self, data) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.aborted

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


def stood():
    connection = Connection()
    link = Standing()
    connection.connection_made(link)
    return connection, link


async def asked(connection, data):
    """Return the head of an answer that begins with this data."""
    asking = asyncio.create_task(connection.ask(b"POST / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    connection.data_received(data)
    async with asyncio.timeout(10):
        return await asking


async def test_what_comes_all_at_once_is_read_to_its_end():
    # More than is taken in before somebody reads, its end with it, and nothing after that to wake anybody.
    connection, link = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = b"%x\r\n%b\r\n" % (20_000, b"x" * 20_000)
    connection.data_received(piece * 50 + b"0\r\n\r\n")
    assert link.paused

    async with asyncio.timeout(10):
        assert await read_whole(connection) == b"x" * 1_000_000
    assert not link.paused
    assert connection.rest(10)


async def read_whole(connection):
    data = b""
    while portion := await connection.read():
        data += portion
    return data


async def test_others_have_their_turn_between_the_portions_of_much():
    connection, _ = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    connection.data_received(b"x" * 250_000)
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    since = 0
    for _ in range(250_000 // connections.PORTION):
        assert len(await connection.read()) == connections.PORTION
        assert turns > since or not since
        since = turns
    counting.cancel()

    connection.data_received(b"y" * 1000)
    assert (await connection.read()).count(b"y") == 0
    assert await connection.read() == b"y" * 1000


async def test_what_is_left_of_an_answer_is_not_read_as_the_next_one():
    connection, _ = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000)
    await connection.read()
    assert connection.rest(10)

    await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew")

    assert await read_whole(connection) == b"new"


@pytest.mark.parametrize("behind", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"nonsense"])
async def test_what_follows_an_answer_is_no_part_of_it(behind):
    connection, _ = stood()
    head = await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood" + behind)

    assert head.status == 200
    assert [await connection.read(), await connection.read()] == [b"good", b""]
    # Nor may the next one to ask get to see it.
    assert not connection.rest(10)


async def test_what_comes_unasked_ends_the_connection():
    connection, link = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert await connection.read() == b""
    assert connection.rest(10)

    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    assert link.aborted
    assert not connection.is_usable


async def test_a_connection_on_which_reading_has_stopped_is_the_last_ones():
    connection, link = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    connection.data_received(b"x" * 1_000_000)

    assert link.paused
    assert not connection.rest(10)


async def test_a_body_without_a_length_ends_with_the_connection():
    connection, _ = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\n\r\none ")
    connection.data_received(b"two")
    connection.eof_received()

    assert [await connection.read(), await connection.read()] == [b"one two", b""]
    assert not connection.rest(10)


@pytest.mark.parametrize("head", [b"content-length: 10", b"transfer-encoding: chunked"])
async def test_a_body_that_is_cut_is_told_from_a_whole_one(head):
    connection, _ = stood()
    await asked(connection, b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % head + b"3\r\none\r\n")
    connection.eof_received()

    assert b"one" in await connection.read()
    with pytest.raises(httpx.RemoteProtocolError):
        await connection.read()


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
async def test_an_answer_may_come_a_byte_at_a_time(line):
    connection, _ = stood()
    answer = line.join([b"HTTP/1.1 200 OK", b"transfer-encoding: chunked", b"x-a: \xe9", b"", b""])
    answer += b"3\r\none\r\n4 \r\n two\r\n0\r\nx-b: trailer\r\n\r\n"
    asking = asyncio.create_task(connection.ask(b"GET / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    for byte in answer:
        connection.data_received(bytes([byte]))
    head = await asking

    assert head == (200, [(b"transfer-encoding", b"chunked"), (b"x-a", b"\xe9")])
    assert [await connection.read(), await connection.read()] == [b"one two", b""]
    assert connection.rest(10)


async def test_a_large_request_goes_out_in_pieces_and_waits_for_a_slow_server():
    connection, link = stood()
    body = bytes(range(256)) * 4096
    asking = asyncio.create_task(connection.ask(b"POST / HTTP/1.1\r\n\r\n", body))
    await asyncio.sleep(0)
    connection.pause_writing()
    written = len(link.written)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(link.written) == written < len(body) / 2

    connection.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert link.written == b"POST / HTTP/1.1\r\n\r\n" + body
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    await asking
    assert connection.rest(10)


async def test_an_answer_to_half_a_request_is_the_last_one():
    connection, _ = stood()
    connection.pause_writing()
    asking = asyncio.create_task(connection.ask(b"POST / HTTP/1.1\r\n\r\n", b"x" * 1_000_000))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")

    assert (await asking).status == 413
    assert await connection.read() == b""
    assert not connection.rest(10)


async def test_a_connection_nobody_needs_is_closed_after_a_while(monkeypatch):
    monkeypatch.setattr(connections, "KEEP_SECONDS", 0.2)
    async with serving(replay([b"data: 1\n\n"])) as server:
        await ask(server.url)
        await asyncio.wait_for(server.gone.wait(), 3)
        await ask(server.url)

    assert server.connections == 2


async def test_a_connection_the_server_has_closed_is_not_used_again():
    async def once(wire):
        await wire.head()
        await wire.send(b"data: 1\n\n")
        await wire.end()
        wire.writer.close()

    async with serving(once) as server:
        for _ in range(3):
            assert await ask(server.url) == [b"1"]
            await asyncio.sleep(0.05)

    assert server.connections == 3


@pytest.mark.parametrize(
    "late", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"], ids=["end", "more"]
)
async def test_a_connection_on_which_something_came_between_two_questions_is_not_used_again(late):
    loop = asyncio.get_running_loop()
    made = connections.Connections(transport.limits, context=ssl.create_default_context)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        peer = connections.Peer(False, "127.0.0.1", listening.getsockname()[1])

        async def taken():
            taking = asyncio.create_task(made.take(peer))
            server_side, _ = await asyncio.wait_for(loop.sock_accept(listening), 5)
            return await taking, server_side

        first, server_side = await taken()
        asking = asyncio.create_task(first.ask(b"GET / HTTP/1.1\r\n\r\n", b""))
        server_side.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await asking
        made.give_back(peer, first)
        assert await made.take(peer) is first
        made.give_back(peer, first)
        # The loop is busy while it comes.
        if late:
            server_side.sendall(late)
        else:
            server_side.shutdown(socket.SHUT_WR)
        time.sleep(0.05)  # noqa: ASYNC251

        second, other_side = await taken()

        assert second is not first
        made.close()
        server_side.close()
        other_side.close()
