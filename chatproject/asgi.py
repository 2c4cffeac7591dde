"""The ASGI application: Django, with what Django's own lacks around it.

From the outside in: the id of the request, lifespan (Django speaks none), the bound on request bodies,
and then either the API or, behind the static files, the pages.
"""

import gc
import json
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
django.setup(set_prefix=False)

# Everything below reads settings or models, so it can only be imported now.
from django.conf import settings  # noqa: E402
from django.core.handlers.asgi import get_script_prefix  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from django.utils import translation  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from accounts import counters, open_streams, tokens  # noqa: E402
from chat import runtime  # noqa: E402
from chatproject.cors import headers_for  # noqa: E402
from chatproject.errors import PLAIN  # noqa: E402
from chatproject.errors import body as error_body  # noqa: E402
from chatproject.handlers import ApiHandler, BodyRefused, PageHandler  # noqa: E402
from chatproject.middleware import best_language, is_api  # noqa: E402
from chatproject.request_ids import identified  # noqa: E402

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


def bound_bodies(app: App) -> App:
    """Refuse a body that is too large, at once where its length is told, and one that does not end."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            length = dict(scope["headers"]).get(b"content-length", b"0")
            if not length.isdigit() or len(length) > 18 or int(length) > settings.MAX_BODY_BYTES:
                return await _refuse(scope, send, 413)
        try:
            await app(scope, receive, send)
        except BodyRefused as exc:
            await _refuse(scope, send, exc.status)

    return bounded


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    code, text = PLAIN[status]
    given = dict(scope["headers"])
    accepted = given.get(b"accept-language", b"").decode("latin-1")
    with translation.override(best_language(accepted)):
        content = json.dumps(error_body(code, text), ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # the rest of the body is not worth reading
        *(headers_for(given.get(b"origin", b"").decode("latin-1")) if is_api(_path(scope)) else []),
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
                    await runtime.start(
                        purges=[counters.purge_expired, tokens.purge_expired],
                        beats=[open_streams.end_signed_out],
                    )
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


def by_path(api: App, pages: App) -> App:
    """Give the API's requests to the one, and all others to the other."""

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        await (api if is_api(_path(scope)) else pages)(scope, receive, send)

    return chosen


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(get_script_prefix(scope))


# Loaded now, so that a mistake in them is seen at the start and no first request waits for it.
get_resolver().url_patterns  # noqa: B018

application = identified(with_lifespan(bound_bodies(by_path(ApiHandler(), _static(PageHandler())))))
