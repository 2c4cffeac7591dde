"""The ASGI application: Django, with what Django's own lacks around it.

From the outside in: lifespan (Django speaks none), the bound on request bodies
(Django would first write all of a body to disk), static files, and Django
itself on a bounded number of threads.
"""

import asyncio
import gc
import json
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
django.setup(set_prefix=False)

# Everything below reads settings or models, so it can only be imported now.
from asgiref.sync import ThreadSensitiveContext  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import ASGIHandler, ASGIRequest  # noqa: E402
from django.core.signals import request_started  # noqa: E402
from django.db import close_old_connections, reset_queries  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from django.utils import translation  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from accounts import counters, tokens  # noqa: E402
from chat import runtime  # noqa: E402
from chatproject.db import quietest_lane  # noqa: E402
from chatproject.errors import PLAIN, error_response  # noqa: E402
from chatproject.errors import body as error_body  # noqa: E402
from chatproject.middleware import best_language  # noqa: E402

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


# At a request's start Django would go to a thread and back for what its end has seen to already:
# no connection is kept open between requests, and queries are only noted down with DEBUG.
request_started.disconnect(close_old_connections)
if not settings.DEBUG:
    request_started.disconnect(reset_queries)


class DjangoOnLanes(ASGIHandler):
    """Django's handler, whose synchronous work shares a few threads.

    As shipped, every request that touches synchronous code gets a thread of its
    own for its whole life: one for every open stream.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext(executor=quietest_lane()):
            await self.handle(scope, receive, send)

    def create_request(
        self, scope: Any, body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        try:
            return super().create_request(scope, body_file)
        except ValueError:
            # A Content-Type that cannot be decoded, with an RFC 2231 charset that nobody knows, say.
            return None, error_response(400)


# How long a client may take to send a request's body.
BODY_SECONDS = 60


class BodyTooLarge(Exception):
    pass


def bound_bodies(app: App, *, limit: int) -> App:
    """Refuse a body of more than `limit` bytes, at once where its length is told, and one that never ends."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > limit:
            return await _refuse(scope, send, 413)
        read = 0
        started = complete = False
        give_up = asyncio.get_running_loop().time() + BODY_SECONDS

        async def counted() -> Message:
            nonlocal read, complete
            if complete:
                return await receive()  # the disconnect, whenever that comes
            async with asyncio.timeout_at(give_up):
                message = await receive()
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if read > limit:
                raise BodyTooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, counted, noted)
        except (BodyTooLarge, TimeoutError):
            if complete and read <= limit:
                raise
            if not started:
                await _refuse(scope, send, 413 if read > limit else 408)

    return bounded


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    code, text = PLAIN[status]
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    with translation.override(best_language(accepted)):
        content = json.dumps(error_body(code, text), ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # the rest of the body is not worth reading
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def with_lifespan(app: App) -> App:
    """Start and stop what lives as long as the process: the provider client and the running answers."""

    async def spanned(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            return await app(scope, receive, send)
        if scope["type"] != "lifespan":
            raise ValueError(f"{scope['type']} connections are not served here")
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await runtime.start(purges=[counters.purge_expired, tokens.purge_expired])
                except Exception:
                    logger.exception("the server could not start")
                    await send({"type": "lifespan.startup.failed", "message": "see the log"})
                    return
                _settle()
                await send({"type": "lifespan.startup.complete"})
            else:
                await runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    return spanned


def _settle() -> None:
    """Let the garbage collector pass by what was loaded until now, and will stay.

    It would look through all of it every few seconds, and hold up each stream for 40 to 90 ms meanwhile.
    """
    gc.collect()
    gc.freeze()


def _static(app: App) -> App:
    return ServeStaticASGI(
        app,
        root=str(settings.STATIC_ROOT),
        prefix=settings.STATIC_URL,
        immutable_file_test=r"\.[0-9a-f]{12}\.",
    )


# Loaded now, so that a mistake in them is seen at the start and no first request waits for it.
get_resolver().url_patterns  # noqa: B018

application = with_lifespan(bound_bodies(_static(DjangoOnLanes()), limit=settings.MAX_BODY_BYTES))
