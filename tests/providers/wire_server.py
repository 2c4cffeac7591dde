"""A server on loopback that answers as it is told to, byte by byte if need be, and sees who hangs up."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from providers.transport import close_shared


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """One connection, after its request was read."""

    request: Request
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader
    server: "WireServer"

    async def head(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **(headers or {})}
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.raw(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def hung_up(self, within: float = 5) -> float:
        """Return after how many seconds the client closed the connection."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        async with asyncio.timeout(within):
            while await self.reader.read(1024):
                pass
        return loop.time() - since


Answer = Callable[[Wire], Awaitable[None]]


@dataclass
class WireServer:
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    # How many requests came over each of them.
    over_connection: Counter[asyncio.StreamWriter] = field(default_factory=Counter)
    hung_up: list[float] = field(default_factory=list)
    # Set as soon as a client has closed its connection while an answer was being given.
    left: asyncio.Event = field(default_factory=asyncio.Event)
    # Set as soon as a client has closed its connection between two requests.
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    served = WireServer()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        try:
            while request := await _read(reader):
                served.requests.append(request)
                await answer(Wire(request, writer, reader, served))
            served.gone.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            served.left.set()
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        # Every test has an event loop of its own, and so a shared client of its own.
        await close_shared()
        server.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def replay(
    pieces: Iterable[bytes], *, status: int = 200, headers: dict[str, str] | None = None, pause: float = 0
) -> Answer:
    """Return an answer that sends these pieces, each as an HTTP chunk of its own, and ends well."""
    pieces = list(pieces)

    async def answer(wire: Wire) -> None:
        await wire.head(status, headers)
        for piece in pieces:
            await wire.send(piece)
            await asyncio.sleep(pause)
        await wire.end()

    return answer


def plain(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """Return an ordinary answer with a length."""

    async def answer(wire: Wire) -> None:
        fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
        await wire.raw("\r\n".join([*lines, "", ""]).encode() + body)

    return answer
