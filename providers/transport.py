"""The one way out to a provider: the shared client, its limits, its guard.

Under httpx's API run connections of our own (`connections`), which cost a
fraction of the CPU per token; nothing outside can tell.

What holds for every request, whatever a user typed or a provider answers: the
address that was checked is the one connected to, no redirect is followed, no
proxy, `.netrc` or cookie is used, and time and memory are bounded, also of
what a server compresses unasked. Every failure comes out as a `ProviderError`.

Where a function takes a client, `None` means the process's shared one.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import httpx
import orjson

from . import decoding
from .addresses import check_url, origin
from .connections import Connection, Connections, Peer, Resolve
from .error_mapping import fault_of_response
from .errors import (
    AddressMalformed,
    BrokenStream,
    ContextTooLong,
    InvalidCredentials,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    WrongAddress,
    unreadable,
)
from .inflating import ENCODINGS, inflated
from .redaction import seal
from .sse import Event
from .text import load_json

__all__ = [
    "Event",
    "Limits",
    "check_url",
    "close_shared",
    "configure",
    "get_json",
    "limits",
    "new_client",
    "origin",
    "secrets_in",
    "shared_client",
    "stream_events",
    "stream_lines",
]

_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "connection": "keep-alive",
    "user-agent": "chat-backend",
}
_OF_A_BODY = {"content-type": "application/json"}
ERROR_BODY_BYTES = 64 << 10
ERROR_BODY_SECONDS = 10.0
_KEYS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
_PLAIN = frozenset({"anthropic-version"})
_SHORTEST_SECRET = 8
# httpx writes every URL to its log at INFO, one line per request.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request to a provider may take."""

    connect_seconds: float = 10.0
    # From one byte to the next, and from the request to the first one.
    idle_seconds: float = 120.0
    total_seconds: float = 900.0
    # The question with all that was said before; it is kept until the provider has read it.
    request_bytes: int = 16 << 20
    # The longest line and the longest event; an image can be one of them.
    event_bytes: int = 4 << 20
    body_bytes: int = 64 << 20
    # A list of models, or an answer that came in one piece.
    document_bytes: int = 4 << 20
    answer_chars: int = 2_000_000
    allow_private: bool = False


Taker = Callable[[bytes], bool]


def _to_nobody(taker: Taker) -> None:
    pass


class Stream(NamedTuple):
    """An answer's chunks, and what makes events of them.

    While a chunk is waited for, one that comes is first offered to who was given to `offer_to`: what it
    returns true for does not come by way of `chunks`. Not every transport does so.
    """

    chunks: AsyncIterator[bytes]
    body: decoding.Body
    offer_to: Callable[[Taker], None] = _to_nobody


_limits = Limits()
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


def configure(new: Limits) -> None:
    """Set this process's limits; they hold from the next request on."""
    global _limits
    _limits = new
    # Reading whom to trust takes a moment: better now than before the first answer.
    _trusted()


def limits() -> Limits:
    return _limits


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        pass


_NO_COOKIES = _NoCookies()


class _Client(httpx.AsyncClient):
    """One client serves all users: a cookie set for one must not go out for another.

    A policy of the cookie jar would do, too, but to ask it takes a sixth of what a short answer costs.
    """

    @property  # type: ignore[misc]  # nobody sets them
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES


def new_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return a client that behaves as this module promises. Whoever makes one closes it."""
    return _Client(transport=transport or GuardedTransport(), trust_env=False, follow_redirects=False)


def shared_client() -> httpx.AsyncClient:
    """Return the running event loop's client. Nobody who is handed it closes it."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None or client.is_closed:
        client = _clients[loop] = new_client()
    return client


async def close_shared() -> None:
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


@asynccontextmanager
async def stream_events(
    client: httpx.AsyncClient | None, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any]
) -> AsyncIterator[Stream]:
    """POST, and give the answer's chunks, and what makes events of them."""
    now = _limits
    events = decoding.EventBody(
        max_event=now.event_bytes, max_document=now.document_bytes, max_body=now.body_bytes
    )
    async with _opened(client, "POST", url, headers, body) as response, aclosing(_chunks(response)) as chunks:
        yield Stream(chunks, events, _offering(response))


@asynccontextmanager
async def stream_lines(
    client: httpx.AsyncClient | None, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any]
) -> AsyncIterator[Stream]:
    """POST, and give the answer's chunks, and what takes each line of them as the data of an event."""
    now = _limits
    lines = decoding.LineBody(
        max_line=now.event_bytes, max_document=now.document_bytes, max_body=now.body_bytes
    )
    async with _opened(client, "POST", url, headers, body) as response, aclosing(_chunks(response)) as chunks:
        yield Stream(chunks, lines, _offering(response))


async def get_json(client: httpx.AsyncClient | None, url: str, *, headers: Mapping[str, str]) -> Any:
    """GET a JSON document, such as a list of models."""
    async with _opened(client, "GET", url, headers, None) as response, aclosing(_chunks(response)) as chunks:
        found = await decoding.document(chunks, max_bytes=_limits.document_bytes)
    try:
        return load_json(found)
    except ValueError as exc:
        raise WrongAddress("the answer is no JSON") from exc


@asynccontextmanager
async def _opened(
    client: httpx.AsyncClient | None,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
) -> AsyncIterator[httpx.Response]:
    """Send the request and give the response once its status says that an answer follows."""
    current = _limits
    client = client or shared_client()
    with _sealed(headers):
        with _mapped(started=False):
            # Before anything else, so that also a connection that is still open is only used within the rule.
            checked = _checked(url, allow_private=current.allow_private)
        _check_headers(headers)
        content = None if body is None else _dump(body)
        if content is not None and len(content) > current.request_bytes:
            raise ContextTooLong(f"a question of more than {current.request_bytes} bytes")
        timeout = httpx.Timeout(current.idle_seconds, connect=current.connect_seconds)
        told = {**_HEADERS, **headers} if body is None else {**_HEADERS, **_OF_A_BODY, **headers}
        with _mapped(started=False):
            # Not `client.build_request`: what it merges costs more than the rest of the asking.
            request = httpx.Request(
                method,
                checked,
                headers=told,
                content=content,
                extensions={"timeout": timeout.as_dict(), "total": current.total_seconds},
            )
            response = await client.send(request, stream=True)
        try:
            if response.status_code >= 300:
                raise await _refusal(response, secrets=secrets_in(headers))
            if _encoding(response) not in ("", *ENCODINGS):
                raise unreadable("an answer in an encoding that was not asked for")
            with _mapped(started=True):
                yield response
        finally:
            await response.aclose()


@contextmanager
def _sealed(headers: Mapping[str, str]) -> Iterator[None]:
    """Let no fault out that repeats a key: what the layers below say may quote the answer."""
    try:
        yield
    except ProviderError as fault:
        seal(fault, secrets_in(headers))
        raise


def _encoding(response: httpx.Response) -> str:
    """Return how the body is compressed, or "" where it is not."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Return the body's chunks as they come, inflated where they are compressed."""
    # Not `aiter_raw`, nor the wrapper that httpx puts about our body to note the time:
    # per chunk they cost more than all our parsing.
    body = response.extensions.get("body", response.stream)
    chunks = cast("AsyncGenerator[bytes, None]", aiter(body))
    return inflated(chunks) if _encoding(response) else chunks


def _offering(response: httpx.Response) -> Callable[[Taker], None]:
    body = response.extensions.get("body")
    return body.offer_to if isinstance(body, _Body) and not _encoding(response) else _to_nobody


async def _refusal(response: httpx.Response, *, secrets: list[str]) -> ProviderError:
    """Read what fits of an error body, and return what it means."""
    body = b""
    if _encoding(response) in ("", *ENCODINGS):
        try:
            async with asyncio.timeout(ERROR_BODY_SECONDS), aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= ERROR_BODY_BYTES:
                        break
        # The status alone says enough.
        except (httpx.HTTPError, TimeoutError, BrokenStream):
            pass
    return fault_of_response(response.status_code, response.headers, body[:ERROR_BODY_BYTES], secrets=secrets)


@contextmanager
def _mapped(*, started: bool) -> Iterator[None]:
    """Turn what httpx raises into what we raise, by family: transports differ in the class."""
    try:
        yield
    except httpx.ConnectTimeout as exc:
        raise ProviderTimeout("no connection in time", unsent=True) from exc
    except httpx.TimeoutException as exc:
        raise ProviderTimeout(str(exc)) from exc
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
        raise AddressMalformed("not a URL that can be asked") from exc
    except httpx.ConnectError as exc:
        raise ProviderUnavailable(str(exc), unsent=True) from exc
    except UnicodeError as exc:
        # Of a name that no look-up can be asked for; each layer has an exception of its own for it.
        if started:
            raise unreadable("the answer's head is no text") from exc
        raise AddressMalformed("not a host name") from exc
    except httpx.HTTPError as exc:
        if started:
            raise BrokenStream(f"the connection broke: {exc}") from exc
        raise ProviderUnavailable(f"the connection broke: {exc}") from exc


@lru_cache(maxsize=1024)
def _checked(url: str, *, allow_private: bool) -> httpx.URL:
    """Return a URL that may be asked. Which ones may be is decided by their text alone."""
    check_url(url.partition("?")[0], allow_private=allow_private)
    return httpx.URL(url)


def _check_headers(headers: Mapping[str, str]) -> None:
    # Those that a user decides were checked when they were stored; a key may come from the environment.
    for value in headers.values():
        if not value.isascii() or not value.isprintable():
            raise InvalidCredentials("the key holds characters that no key can hold")


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return what of a request's headers nobody else may see: the key, and each word of the extra ones."""
    found: list[str] = []
    for name, value in headers.items():
        if name.lower() in _KEYS:
            found.append(value.removeprefix("Bearer "))
        elif name.lower() not in _PLAIN:
            # Shorter ones, such as "true", are no secrets, and stand in every other sentence.
            found += [word for word in (value, *value.split()) if len(word) >= _SHORTEST_SECRET]
    return found


def _dump(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # Lone surrogates: escaped they are legal JSON, and the provider's to judge.
        return json.dumps(body).encode()


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom TLS trusts: the authorities httpx ships and those of this machine."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx's requests over connections that are checked as they are made."""

    def __init__(self, resolve: Resolve | None = None, context: ssl.SSLContext | None = None) -> None:
        self._connections = Connections(limits, context=lambda: context or _trusted(), resolve=resolve)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        times = request.extensions["timeout"]
        total = request.extensions.get("total")
        now = asyncio.get_running_loop().time()
        peer, head = _peer(request.url), _request_head(request)
        content = await request.aread()
        try:
            async with asyncio.timeout(times["read"] if total is None else min(times["read"], total)):
                connection, (status, headers) = await self._connections.ask(peer, head, content)
        except TimeoutError as exc:
            raise httpx.ReadTimeout("no answer in time") from exc

        def release() -> None:
            self._connections.give_back(peer, connection)

        body = _Body(connection, release, times["read"], None if total is None else now + total)
        headers = [header for header in headers if header[0].lower() not in _UNHEARD]
        return httpx.Response(status, headers=headers, stream=body, extensions={"body": body})

    async def aclose(self) -> None:
        self._connections.close()


def _peer(url: httpx.URL) -> Peer:
    if url.scheme not in ("http", "https") or not url.host:
        raise httpx.UnsupportedProtocol("only http:// and https:// addresses can be asked")
    secure = url.scheme == "https"
    return Peer(secure, url.raw_host.decode("ascii"), url.port or (443 if secure else 80))


def _request_head(request: httpx.Request) -> bytes:
    method, target = request.method.encode("ascii"), request.url.raw_path
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    # Whatever got past the checks above: one request is one request.
    if b" " in target or head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise httpx.UnsupportedProtocol("not a request that can be sent")
    return head + b"\r\n\r\n"


class _Body(httpx.AsyncByteStream):
    """A response body with an idle and a total deadline, by one timer in all."""

    def __init__(
        self, connection: Connection, release: Callable[[], None], idle: float, deadline: float | None
    ) -> None:
        self._connection = connection
        self._release = release
        self._idle = idle
        self._deadline = deadline
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        read = self._connection.read
        self._waiting_since = loop.time()
        self._watch()
        while chunk := await read():
            # While our reader is busy the provider is not idle.
            self._waiting_since = None
            yield chunk
            self._waiting_since = loop.time()

    def offer_to(self, taker: Taker) -> None:
        loop = asyncio.get_running_loop()

        def take(chunk: bytes) -> bool:
            if not taker(chunk):
                return False
            self._waiting_since = loop.time()
            return True

        self._connection.taker = take

    def _watch(self) -> None:
        """Give up where it is time to, else look again at the earliest moment it could be."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        idle_until = (now if self._waiting_since is None else self._waiting_since) + self._idle
        if self._deadline is not None and now >= self._deadline:
            self._connection.fail(httpx.ReadTimeout("the answer took too long in all"))
        elif now >= idle_until:
            self._connection.fail(httpx.ReadTimeout("the provider fell silent"))
        else:
            next_look = idle_until if self._deadline is None else min(idle_until, self._deadline)
            self._timer = loop.call_at(next_look, self._watch)

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        release, self._release = self._release, _nothing
        release()


# Where a redirect leads is nothing to us, and httpx would fail where it leads nowhere. Cookies it would read
# with great care before it forgot them.
_UNHEARD = (b"location", b"set-cookie", b"set-cookie2")


def _nothing() -> None:
    pass
