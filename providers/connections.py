"""HTTP/1.1 connections, made only to checked addresses, and without trust in who is at the other end.

One exchange at a time: a request goes out, the head of the answer and the bytes of its body
come in. Parsing is llhttp's, by httptools. What has arrived since the last `read` is one piece,
so that a burst of chunks costs hardly more than one of them. Faults are httpx's exceptions.
"""

import asyncio
import errno
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

import aiohappyeyeballs
import httptools
import httpx

from .addresses import check_address, literal
from .errors import AddressRefused
from .names import Answer, look_up

# The answer and what is sent before it: a server may say "wait" and give hints.
MAX_HEADS = 20
MAX_HEAD_BYTES = 256 << 10
MAX_HEADERS = 200
# What may come that is no body, and how much of it for each byte of the body.
MAX_OVERHEAD = 1 << 20
MAX_OVERHEAD_PER_BYTE = 2
# So much of a body waits for its reader before no more is taken from the server.
MAX_WAITING = 64 << 10
# So much of it is given to its reader before others have their turn: a body can cost far more to read than
# to send.
PORTION = 8 << 10
# So much of a request is handed over at once: encrypting a large one in one go would hold everybody up.
SLICE = 128 << 10
# An unused connection is kept for so long. Most servers keep theirs longer.
KEEP_SECONDS = 15
# A kept connection that ends this soon after a request was sent had been ended before it came. Later the
# provider may have been at work, and asking again could be billed twice.
STALE_SECONDS = 2.0
# As RFC 8305 has it: the next address is tried as well where one has not answered for so long.
NEXT_ADDRESS_SECONDS = 0.25

# What a server may send over a connection on which it has waited too long for a request.
_REQUEST_TIMEOUT = 408

Headers = list[tuple[bytes, bytes]]


class Rules(Protocol):
    """What of the transport's limits concerns connections; asked for each time, as they may change."""

    @property
    def allow_private(self) -> bool: ...

    @property
    def connect_seconds(self) -> float: ...


class Head(NamedTuple):
    status: int
    headers: Headers


class Peer(NamedTuple):
    """Whom a connection leads to: what may be asked there goes over any connection to it."""

    secure: bool
    host: str
    port: int


Resolve = Callable[[str], Awaitable[Sequence[Answer]]]


class Connections:
    """Makes connections, and keeps those that can be used again."""

    def __init__(
        self,
        rules: Callable[[], Rules],
        *,
        context: Callable[[], ssl.SSLContext],
        resolve: Resolve | None = None,
    ) -> None:
        self._rules = rules
        self._context = context
        self._resolve = resolve or self._looked_up
        self._idle: dict[Peer, list[Connection]] = {}
        # The event loop keeps those that are open.
        self._open: WeakSet[Connection] = WeakSet()

    async def ask(self, peer: Peer, head: bytes, body: bytes) -> "tuple[Connection, Head]":
        """Send a request; return the head of the answer, and the connection that its body comes over.

        A server may end a kept connection at the very moment when a request is sent over it. Where no byte of
        an answer has come, the request is sent once more, over a new connection.
        """
        connection = await self.take(peer)
        try:
            answered = await connection.ask(head, body)
            if not (connection.kept and answered.status == _REQUEST_TIMEOUT):
                return connection, answered
        except httpx.TransportError:
            if not connection.is_stale:
                connection.abort()
                raise
        except BaseException:
            connection.abort()
            raise
        connection.abort()
        connection = await self.take(peer, fresh=True)
        try:
            return connection, await connection.ask(head, body)
        except BaseException:
            connection.abort()
            raise

    async def take(self, peer: Peer, *, fresh: bool = False) -> "Connection":
        """Return a connection that nobody else uses; raises `httpx.ConnectError` or `ConnectTimeout`."""
        idle = None if fresh else self._idle.get(peer)
        while idle:
            connection = idle.pop()
            if connection.is_usable and not connection.has_something_to_read():
                return connection
            # Its end, or an answer to nothing, that the loop has not come to yet.
            connection.abort()
        try:
            async with asyncio.timeout(self._rules().connect_seconds):
                connection = await self._connect(peer)
        except TimeoutError as exc:
            raise httpx.ConnectTimeout("no connection in time") from exc
        except OSError as exc:
            if isinstance(exc, PermissionError) and isinstance(exc.__cause__, AddressRefused):
                raise exc.__cause__ from exc
            raise httpx.ConnectError(str(exc)) from exc
        self._open.add(connection)
        connection.on_lost = partial(self._lost, peer, connection)
        return connection

    def give_back(self, peer: Peer, connection: "Connection") -> None:
        """Keep a connection for the next request, if its last one has ended well; else hang up."""
        if connection.rest(KEEP_SECONDS):
            self._idle.setdefault(peer, []).append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        for connection in list(self._open):
            connection.abort()

    def _lost(self, peer: Peer, connection: "Connection") -> None:
        idle = self._idle.get(peer)
        if idle and connection in idle:
            idle.remove(connection)
        if not idle:
            self._idle.pop(peer, None)

    async def _connect(self, peer: Peer) -> "Connection":
        loop = asyncio.get_running_loop()
        made = await aiohappyeyeballs.start_connection(
            [_info(answer, peer.port) for answer in await self._answers(peer.host)],
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            interleave=1,
            loop=loop,
            socket_factory=partial(_checked_socket, self._rules),
        )
        try:
            _, connection = await loop.create_connection(
                Connection,
                sock=made,
                ssl=self._context() if peer.secure else None,
                server_hostname=peer.host.rstrip(".") if peer.secure else None,
            )
        except BaseException:
            # Nothing, where a transport has it already and has closed it.
            made.close()
            raise
        return connection

    async def _answers(self, host: str) -> Sequence[Answer]:
        if (address := literal(host)) is not None:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            return [Answer(family, socket.IPPROTO_TCP, str(address))]
        if answers := await self._resolve(host):
            return answers
        raise OSError(f"no address for {host}")

    async def _looked_up(self, host: str) -> Sequence[Answer]:
        """Resolve a name, and refuse it if any one of its addresses is refused.

        What is connected to are the addresses given here: no second look-up could answer differently.
        """
        answers = await look_up(host, seconds=self._rules().connect_seconds)
        for answer in answers:
            check_address(answer.address, allow_private=self._rules().allow_private)
        return answers


def _info(answer: Answer, port: int) -> Any:
    """Return an address as `getaddrinfo` gives it."""
    rest = (0, 0) if answer.family == socket.AF_INET6 else ()
    return answer.family, socket.SOCK_STREAM, answer.proto, "", (answer.address, port, *rest)


def _checked_socket(rules: Callable[[], Rules], info: Any) -> socket.socket:
    """Make the socket for one address: the last place where an address can be refused."""
    family, kind, proto, _, address = info
    try:
        check_address(str(address[0]), allow_private=rules().allow_private)
    except AddressRefused as exc:
        # What tries one address after the other only knows operating system errors.
        raise PermissionError(errno.EACCES, str(exc.detail)) from exc
    made = socket.socket(family, kind, proto)
    made.setblocking(False)
    return made


class Connection(asyncio.Protocol):
    """One connection, and the exchange that is going on over it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Whether another request went over it before.
        self.kept = False
        self._asked_at = 0.0
        self.on_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Of the request: what has yet to be written, and whether the server is slow to take it.
        self._unsent = memoryview(b"")
        self._full = False
        # Of the answer.
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        # What the parser calls with each piece of the body.
        self.on_body = self._pieces.append
        self._waiter: asyncio.Future[None] | None = None
        # What may take a piece of the body while it is waited for, so that nobody is woken for it.
        self.taker: Callable[[bytes], bool] | None = None
        self._paused = False
        self._reset()

    def _reset(self) -> None:
        self._received = self._body_bytes = self._waiting = self._heads = 0
        # What has been taken out of the pieces and not been given to the reader yet, from here on.
        self._rest, self._rest_at = b"", 0
        self._headers: Headers = []
        self._head: Head | None = None
        self._to_the_close = self._complete = self._keeps = False
        self._whole: int | None = None  # how many pieces, once it is complete
        self._fault: httpx.HTTPError | None = None
        self.taker = None

    # --- the exchange

    async def ask(self, head: bytes, body: bytes) -> Head:
        """Send a request, and return the head of the answer. May be called once after each `rest`."""
        self._reset()
        self._asked_at = self._loop.time()
        self._parser = httptools.HttpResponseParser(self)
        # What servers get wrong. It can confuse nobody where only one answer is expected.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._write(head, body)
        while self._head is None:
            if self._fault is not None:
                raise self._fault
            await self._something()
        return self._head

    async def read(self) -> bytes:
        """Return what has come of the body since the last time, or else next; nothing at its end.

        Of much, only a portion is returned, and the next one after a turn of the event loop.
        """
        if self._rest:
            await asyncio.sleep(0)
            return self._portion()
        pieces = self._pieces
        while not pieces:
            if self._fault is not None:
                raise self._fault
            if self._complete:
                return b""
            await self._something()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if len(data) > PORTION:
            self._rest, self._rest_at = data, 0
            return self._portion()
        self._waiting = 0
        if self._paused:
            self._pause(False)
        return data

    def _portion(self) -> bytes:
        portion = self._rest[self._rest_at : self._rest_at + PORTION]
        self._rest_at += len(portion)
        self._waiting -= len(portion)
        if self._rest_at >= len(self._rest):
            self._rest = b""
            if self._paused and self._waiting <= MAX_WAITING:
                self._pause(False)
        return portion

    def fail(self, fault: httpx.HTTPError) -> None:
        """End the exchange, and the connection with it; what has come before can still be read."""
        if self._fault is None and not self._complete:
            self._fault = fault
        self._keeps = False
        self._wake()
        self.abort()

    def abort(self) -> None:
        # Not closed politely: that waits until what is left to send is sent, which a server that
        # reads nothing puts off for ever.
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()

    def rest(self, seconds: float) -> bool:
        """Wait for the next request for so long, if this connection can take one; then hang up."""
        self._parser = self.taker = None
        self._pieces.clear()
        self._rest = b""
        if not self.is_usable:
            return False
        self._timer = self._loop.call_later(seconds, self.abort)
        self.kept = True
        return True

    @property
    def is_usable(self) -> bool:
        """Whether another request can follow the last one, which has ended."""
        if self._transport is None or self._transport.is_closing():
            return False
        return self._keeps and not self._paused  # of whose body all has been read

    @property
    def is_stale(self) -> bool:
        """Whether a kept connection has ended before any byte of an answer, and too soon to be the answer."""
        unanswered = self._fault is not None and self._received == 0
        return self.kept and unanswered and self._loop.time() - self._asked_at < STALE_SECONDS

    def has_something_to_read(self) -> bool:
        link = None if self._transport is None else self._transport.get_extra_info("socket")
        if link is None:
            return False
        poll = select.poll()
        poll.register(link.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _something(self) -> None:
        """Wait until anything has changed."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- writing

    def _write(self, head: bytes, body: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is None:
            self._fault = self._fault or httpx.ReadError("the connection is gone")
        elif len(body) <= SLICE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._go_on_writing()

    def _go_on_writing(self) -> None:
        if self._unsent and not self._full and self._transport is not None:
            piece, self._unsent = self._unsent[:SLICE], self._unsent[SLICE:]
            self._transport.write(piece)
            # Others come between the pieces.
            self._loop.call_soon(self._go_on_writing)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._go_on_writing()

    # --- the connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP and TLS are both ways

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        # Each of them knows this object.
        self._transport = self._parser = self.taker = None
        self._unsent = memoryview(b"")
        if self._timer is not None:
            self._timer.cancel()
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    def eof_received(self) -> bool:
        self._ended(None)
        return False  # and the transport closes

    def _ended(self, exc: Exception | None) -> None:
        """Take note that no more comes."""
        self._keeps = False
        if self._complete or self._fault is not None:
            return
        if exc is None and self._head is not None and self._to_the_close:
            self._complete = True
        elif exc is not None:
            self._fault = httpx.ReadError(str(exc) or type(exc).__name__)
        else:
            self._fault = httpx.RemoteProtocolError("the server hung up before the end of its answer")
        self._wake()

    # --- reading

    def data_received(self, data: bytes) -> None:
        parser, pieces = self._parser, self._pieces
        if parser is None or self._complete:
            self.abort()  # nobody asked for it
            return
        if self._fault is not None:
            return
        before = len(pieces)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self.fail(httpx.RemoteProtocolError(f"the answer cannot be read: {type(exc).__name__}"))
        if self._whole is not None:
            del pieces[self._whole :]
        new = sum([len(piece) for piece in pieces[before:]])
        self._received += len(data)
        self._body_bytes += new
        self._waiting += new
        if self._received > MAX_HEAD_BYTES and self._fault is None:
            self._check_amounts()
        if self.taker is not None and self._is_taken(self.taker):
            return
        if self._waiting > MAX_WAITING and not self._paused:
            self._pause(True)
        self._wake()

    def _is_taken(self, taker: Callable[[bytes], bool]) -> bool:
        """Offer what has just come, if it is waited for and more is to come."""
        pieces, waiter = self._pieces, self._waiter
        if not pieces or waiter is None or waiter.done() or self._complete or self._fault is not None:
            return False
        try:
            taken = taker(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except Exception as exc:
            # It concerns who waits, not who called.
            waiter.set_exception(exc)
            taken = True
        if taken:
            pieces.clear()
            self._waiting = 0
        return taken

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        if self._transport is not None and not self._transport.is_closing():
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _check_amounts(self) -> None:
        if self._head is None:
            self.fail(httpx.RemoteProtocolError("the head of the answer is too long"))
        elif self._received > MAX_OVERHEAD + (1 + MAX_OVERHEAD_PER_BYTE) * self._body_bytes:
            self.fail(httpx.RemoteProtocolError("far more bytes than the answer has"))

    # --- what the parser calls

    def on_message_begin(self) -> None:
        if self._complete:
            self._keeps = False  # an answer to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # and not behind the body
            if len(self._headers) >= MAX_HEADERS:
                raise ValueError("too many headers")
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete or self._parser is None:
            return
        self._heads += 1
        status = self._parser.get_status_code()
        if status >= 200:
            self._head = Head(status, self._headers)
            self._to_the_close = not _tells_its_end(self._headers)
        elif self._heads >= MAX_HEADS:
            raise ValueError("too many answers to one request")
        else:
            self._headers = []

    def on_message_complete(self) -> None:
        if self._head is not None and not self._complete and self._parser is not None:
            self._complete = True
            # What comes behind them is no part of it.
            self._whole = len(self._pieces)
            self._keeps = self._parser.should_keep_alive() and not self._unsent


def _tells_its_end(headers: Headers) -> bool:
    """Whether a body has a length, or an end of its own; else it ends with the connection."""
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"content-length" or (lowered == b"transfer-encoding" and b"chunked" in value.lower()):
            return True
    return False
