"""What one connection can make the server keep, and for how long: pipelines, trailers, slow bodies."""

import asyncio
import gc
import os
import socket
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from chatproject import protocol
from chatproject.protocol import WAY, BoundedProtocol
from chatproject.request_framing import EMPTY_LINES, HEADERS, PIECE_BYTES, RequestFraming
from tests.server import Server

App = Callable[[Any, Any, Any], Awaitable[None]]
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and says whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reads = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_write_buffer_size(self) -> int:
        return 0


class Application:
    """Answers each request with its body's size, once it is released; remembers their scopes."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.scopes: list[Any] = []
        self.released = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        size, more = 0, self.reads
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message["more_body"]
        await self.released.wait()
        body = b"%d" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected(app: App) -> Any:
    config = Config(app, lifespan="off", log_config=None)
    config.load()
    config.loaded_app = app
    wire = Wire()
    connection = BoundedProtocol(config, ServerState(), {})
    connection.connection_made(wire)
    try:
        yield connection, wire
    finally:
        connection.connection_lost(None)


async def settled(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (nothing tells when)
            await asyncio.sleep(0)


async def test_only_one_request_of_a_pipeline_is_parsed_at_a_time() -> None:
    app = Application()
    async with connected(app) as (connection, wire):
        connection.data_received(GET * 1000)
        await settled(lambda: app.scopes)
        assert not wire.reads
        app.released.set()
        await settled(lambda: wire.written.count(b"HTTP/1.1 200") == 1000)
        assert len(app.scopes) == 1000
        assert wire.reads
        assert not wire.closed


async def test_a_request_that_reads_its_body_does_not_read_the_next_requests() -> None:
    app = Application()
    async with connected(app) as (connection, wire):
        connection.data_received(POST + b"1\r\n")
        await settled(lambda: app.scopes)
        connection.data_received(b"x\r\n0\r\n\r\n" + GET * 1000)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(app.scopes) == 1
        assert not wire.reads


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_requests_are_told_apart_wherever_they_are_cut(size: int) -> None:
    app = Application()
    app.released.set()
    sized = b"POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\na\r\n\r\nbcd"
    chunked = POST + b"9\r\nab\r\n\r\n123\r\n2;x=y\r\nzz\r\n0\r\nTrailer: x\r\n\r\n"
    sent = (GET + sized + chunked) * 3
    async with connected(app) as (connection, wire):
        for start in range(0, len(sent), size):
            connection.data_received(sent[start : start + size])
            await asyncio.sleep(0)
        await settled(lambda: wire.written.count(b"HTTP/1.1 200") == 9)
        assert [part[-2:].strip() for part in wire.written.split(b"HTTP/1.1 200")[1:]] == [
            b"0",
            b"8",
            b"11",
        ] * 3


@pytest.mark.parametrize(
    "endless",
    [b"a: bcdefgh\r\n", b"a:" + b"b" * 1000, b"1;" + b"c" * 1000, b"0" * 1000],
    ids=["trailers", "one trailer", "an extension", "a size"],
)
@pytest.mark.parametrize("answered", [True, False])
async def test_what_is_no_body_is_bounded(endless: bytes, answered: bool) -> None:
    app = Application(reads=not answered)
    app.released.set()
    async with connected(app) as (connection, wire):
        connection.data_received(POST + (b"0\r\n" if endless[:1] == b"a" else b""))
        await settled(lambda: app.scopes and (wire.written or not answered))
        sent = 0
        while not wire.closed and sent < 1 << 20:
            connection.data_received(endless)
            sent += len(endless)
        assert wire.closed
        assert sent < 20_000
        assert not app.scopes[0]["headers"] or len(app.scopes[0]["headers"]) == 2


async def test_a_body_that_nobody_reads_is_not_taken_for_ever() -> None:
    app = Application(reads=False)
    app.released.set()
    async with connected(app) as (connection, wire):
        connection.data_received(b"GET /static/x HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n")
        await settled(lambda: wire.written)
        sent = 0
        while not wire.closed and sent < 10_000_000:
            connection.data_received(b"x" * 50_000)
            sent += 50_000
        assert sent < 400_000
        assert wire.written.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("sent", "which"),
    [
        (b"", "HEAD_SECONDS"),
        (b"GET / HT", "HEAD_SECONDS"),
        (GET + b"GET / HT", "HEAD_SECONDS"),
        (b"\r\n\r\n", "HEAD_SECONDS"),
        (b"GET /static/x HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", "BODY_SECONDS"),
        (b"HEAD / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", "BODY_SECONDS"),
        (b"OPTIONS / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "BODY_SECONDS"),
    ],
)
async def test_nobody_takes_for_ever(sent: bytes, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, which, 0.1)
    app = Application(reads=False)
    app.released.set()
    async with connected(app) as (connection, wire):
        began = asyncio.get_running_loop().time()
        for byte in sent:  # each byte alone: none of them gives more time
            connection.data_received(bytes([byte]))
        await settled(lambda: wire.closed)
        assert asyncio.get_running_loop().time() - began < 2


async def test_an_answer_that_takes_long_is_no_slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.05)
    app = Application()
    async with connected(app) as (connection, wire):
        connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
        await asyncio.sleep(0.08)  # both would be over
        app.released.set()
        await settled(lambda: wire.written)
        assert not wire.closed


async def test_nothing_of_a_request_outlives_it() -> None:
    app = Application(reads=False)
    app.released.set()
    gc.disable()
    try:
        async with connected(app) as (connection, wire):
            connection.data_received(GET)
            await settled(lambda: wire.written)
            way = app.scopes.pop()["extensions"][WAY]
            cycle = weakref.ref(connection.cycle)
            connection.data_received(GET)
            await settled(lambda: wire.written.count(b"HTTP/1.1 200") == 2)
            assert cycle() is None
            assert not way.is_free
    finally:
        gc.enable()


async def test_an_upgrade_is_ignored_and_its_body_is_read() -> None:
    app = Application()
    app.released.set()
    async with connected(app) as (connection, wire):
        connection.data_received(
            b"POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAEAAEAA\r\nContent-Length: 5\r\n\r\nhello" + GET
        )
        await settled(lambda: wire.written.count(b"HTTP/1.1 200") == 2)
        assert wire.written.split(b"HTTP/1.1 200")[1].endswith(b"5")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", b"400"),
        (b"\r\n" * 100_000, b"400"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"CONNECT example.org:443 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (HEADERS + 1) + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
    ],
    ids=[
        "TLS",
        "empty lines",
        "bare line feeds",
        "HTTP/2",
        "a tunnel",
        "too many headers",
        "too long a head",
    ],
)
async def test_what_cannot_be_served_is_refused_at_once(sent: bytes, status: bytes) -> None:
    app = Application()
    async with connected(app) as (connection, wire):
        connection.data_received(sent + GET)
        connection.data_received(GET)
        assert wire.written.split()[1] == status
        assert wire.written.count(b"HTTP/1.1") == 1
        assert wire.closed
        assert app.scopes == []


async def test_a_few_empty_lines_before_each_request_are_ignored() -> None:
    app = Application()
    app.released.set()
    async with connected(app) as (connection, wire):
        connection.data_received((b"\r\n" * EMPTY_LINES + GET) * 3)
        await settled(lambda: wire.written.count(b"HTTP/1.1 200") == 3)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b"1\r\nx\r\n" * 40_000, 40_000),
        (b"40000\r\n" + b"\r\n" * 0x20000 + b"\r\n", 0x40000),
        ((b"1;" + b"e" * 15_000 + b"\r\nx\r\n") * 16, 16),
    ],
    ids=["chunks of a byte", "a chunk of empty lines", "extensions"],
)
async def test_a_costly_body_is_parsed_in_turns(
    body: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Application()
    app.released.set()
    turns: list[list[int]] = []
    feed, parse = RequestFraming.next_piece, BoundedProtocol._parse

    def next_piece(framing: Any) -> bytes:
        piece = feed(framing)
        turns[-1].append(len(piece))
        return piece

    def begin(connection: BoundedProtocol) -> None:
        turns.append([])
        parse(connection)

    monkeypatch.setattr(RequestFraming, "next_piece", next_piece)
    monkeypatch.setattr(BoundedProtocol, "_parse", begin)
    async with connected(app) as (connection, wire):
        connection.data_received(POST + body + b"0\r\n\r\n")
        assert not wire.reads
        await settled(lambda: wire.written)
        assert wire.written.endswith(b"\r\n\r\n%d" % size)
        assert wire.reads
        assert len(turns) > 10
        assert all(
            sum(turn) <= protocol.TURN_BYTES + PIECE_BYTES and len(turn) <= protocol.TURN_PIECES
            for turn in turns
        )


# --- against a server -----------------------------------------------------------------------------


def memory_of(server: Server) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.workers)
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def flooded(sqlite_server: Server) -> Iterator[Server]:
    """A server to which five connections send requests without taking any answer."""
    ending = threading.Event()

    def flood() -> None:
        address = urlsplit(sqlite_server.base_url)
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=0.5) as link:
            while not ending.is_set():
                try:
                    link.sendall(GET * 2000)
                except TimeoutError:
                    continue

    threads = [threading.Thread(target=flood) for _ in range(5)]
    for thread in threads:
        thread.start()
    yield sqlite_server
    ending.set()
    for thread in threads:
        thread.join()


def test_floods_of_requests_cost_neither_memory_nor_others_time(flooded: Server) -> None:
    before = memory_of(flooded)
    began = time.monotonic()
    with flooded.client() as client:
        assert all(client.get("/healthz").status_code == 200 for _ in range(30))

    assert time.monotonic() - began < 10
    assert memory_of(flooded) - before < 32 << 20
