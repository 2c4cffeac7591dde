"""aiohttp's connections, made only to checked addresses, and without trust in who is at the other end."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import aiohttp
import aiohttp.abc
from aiohttp.client_proto import ResponseHandler

from .addresses import check_address
from .errors import AddressRefused
from .names import look_up

# The answer and what is sent before it: a server may say "wait" and give hints.
MAX_HEADS = 20
# What may come that is no body, and how much of it for each byte of the body.
MAX_OVERHEAD = 1 << 20
MAX_OVERHEAD_PER_BYTE = 2


class Rules(Protocol):
    """What of the transport's limits concerns connections; asked for each time, as they may change."""

    @property
    def allow_private(self) -> bool: ...

    @property
    def connect_seconds(self) -> float: ...


class Connector(aiohttp.TCPConnector):
    def __init__(
        self,
        rules: Callable[[], Rules],
        *,
        context: ssl.SSLContext,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        super().__init__(
            resolver=resolver or GuardedResolver(rules),
            socket_factory=partial(_checked_socket, rules),
            ssl=context,
            # A cached answer could be older than the rule; a name is looked up per connection.
            use_dns_cache=False,
            # How many answers may run at once is for the chat to say.
            limit=0,
            keepalive_timeout=15,
        )
        # There is no other place to say it; the tests notice if it is not asked any more.
        self._factory = cast("partial[ResponseHandler]", partial(Connection, loop=self._loop))


class GuardedResolver(aiohttp.abc.AbstractResolver):
    """Resolves a name, and refuses it if any one of the answers is refused.

    aiohttp connects to the answers given here, so what was checked is what is
    connected to: there is no second look-up that could answer differently.
    """

    def __init__(self, rules: Callable[[], Rules]) -> None:
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        answers = await look_up(host, seconds=self._rules().connect_seconds)
        for answer in answers:
            check_address(answer.address, allow_private=self._rules().allow_private)
        if not answers:
            raise OSError(f"no address for {host}")
        return [
            {
                "hostname": host,
                "host": answer.address,
                "port": port,
                "family": answer.family,
                "proto": answer.proto,
                "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            }
            for answer in answers
        ]

    async def close(self) -> None:
        pass


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


class Connection(ResponseHandler):
    """aiohttp's own, which waits for a server in places where one can make it wait for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = 0
        self._heads = 0
        self._answered = False

    def set_response_params(self, **params: Any) -> None:
        """Begin a request."""
        self._received = self._heads = 0
        self._answered = False
        super().set_response_params(**params)

    def close(self) -> None:
        # A closing connection first sends what is left to send, which a server that
        # reads nothing puts off for ever. By now nobody needs an answer to it.
        self.abort()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if not self._answered and (head := data.find(b"\r\n\r\n") + 4) > 4:
            # What is wrong with the body must not take the head with it.
            super().data_received(data[:head])
            if not (data := data[head:]):
                return
        # Nothing at all means to go on with what was put off while the reader was busy.
        super().data_received(data)
        if self._received > MAX_OVERHEAD:
            body = self._payload.total_bytes if self._payload is not None else 0
            if self._received > MAX_OVERHEAD + MAX_OVERHEAD_PER_BYTE * body:
                self._refuse("far more bytes than the answer has")

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take one head, and with it the body that has begun."""
        self._heads += 1
        self._answered = data[0].code >= 200
        if self._heads > MAX_HEADS:
            self._refuse("too many answers to one request")
        else:
            super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell of a fault, also him who reads the body already, to whom aiohttp says nothing."""
        super().set_exception(exc, *cause)
        if (body := self._payload) is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError(f"the body cannot be read: {type(exc).__name__}"))
        if self.transport is not None:
            self.transport.abort()

    def _refuse(self, why: str) -> None:
        if self.exception() is None:
            self.set_exception(aiohttp.ClientPayloadError(why))
