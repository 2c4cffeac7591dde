"""The id of a request: taken from the client or its proxy, or made here; given back, and told in the log.

An id is found by everything that runs for the request, on whichever thread. The task of an answer outlives
its request, so it is given the id when it starts.
"""

import re
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

HEADER = b"x-request-id"
# Characters of UUIDs, trace ids and base64: none of them means anything in a header or in a line of the log.
USABLE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# The name of the extension by which a server adds a header to the next response.
ADD_HEADER = "chat.add_header"

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]

_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request that this code runs for, or an empty text."""
    return _current.get()


def use(request_id: str) -> None:
    """Give the current context an id."""
    _current.set(request_id)


def choose(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that came with the request if it is usable, or a new one."""
    for name, value in headers:
        if name == HEADER and USABLE.fullmatch(value):
            return value.decode("ascii")
    return uuid4().hex


def identified(app: App) -> App:
    """Give every request an id, and every response the header with it."""

    async def with_id(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        request_id = choose(scope["headers"])
        use(request_id)
        header = HEADER, request_id.encode()
        add = scope.get("extensions", {}).get(ADD_HEADER)
        if add is None:
            # A server without the extension: each message takes one more call.
            send = _adding(header, send)
        else:
            add(header)
        await app(scope, receive, send)

    return with_id


def _adding(header: tuple[bytes, bytes], send: Any) -> Any:
    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), header]
        await send(message)

    return send_with_header
