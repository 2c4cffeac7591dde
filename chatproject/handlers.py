"""Django's own handler, in two shapes: the usual one for pages, and a short way for the API.

Both read a request's body themselves, with a bound on its size and on its time.
Django would write it to a file first, however long it is.
"""

import asyncio
from io import BytesIO
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core import signals
from django.core.cache import close_caches
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import reset_urlconf
from django.core.handlers.exception import convert_exception_to_response
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix
from django.utils.log import log_response
from django.utils.module_loading import import_string

from accounts import open_streams
from accounts.open_streams import OpenStream
from accounts.sign_ins import SignIn
from chat.events import PING, Last
from chat.responses import EventStreamResponse
from chatproject.db import quietest_lane
from chatproject.errors import error_response
from chatproject.protocol import WAY

# How long a client may take to send a request's body.
BODY_SECONDS = 60


class BodyRefused(Exception):
    """The body is too large, or does not end; raised before anything has been sent."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Handler(ASGIHandler):
    """What both have in common."""

    async def read_body(self, receive: Any) -> Any:
        body = BytesIO()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestAborted
                    body.write(message.get("body", b""))
                    if body.tell() > settings.MAX_BODY_BYTES:
                        raise BodyRefused(413)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise BodyRefused(408) from None
        body.seek(0)
        return body

    def create_request(
        self, scope: Any, body_file: Any
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        try:
            request, refusal = super().create_request(scope, body_file)
        except ValueError:
            # A Content-Type that cannot be decoded, with an RFC 2231 charset that nobody knows, say.
            return None, error_response(400)
        if request is not None and (size := body_file.getbuffer().nbytes):
            # A body in chunks tells no length, and would be taken for none.
            request.META.setdefault("CONTENT_LENGTH", str(size))
        return request, refusal  # type: ignore[return-value]  # one of the two is there


class PageHandler(Handler):
    """Django's handler, whose synchronous work shares a few threads.

    As shipped, every request that touches synchronous code gets a thread of its
    own for its whole life.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext(executor=quietest_lane()):
            await self.handle(scope, receive, send)


class ApiHandler(Handler):
    """Django's handler for views that are all coroutines, and middleware that never needs a thread.

    A request needs no thread here but those of `in_db`. A piece of a stream passes
    from the answer to the server with nothing in between.
    """

    _get_response_async: Any  # Django's own, which its stubs leave out
    _middleware_chain: Any

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        chain = convert_exception_to_response(self._get_response_async)
        for name in reversed(settings.API_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self._middleware_chain = chain

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        await signals.request_started.asend(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        if request is None:
            await self._send(refusal, send)  # type: ignore[arg-type]  # one of the two is there
            return
        # A task of its own also because waking one is the cheaper the fewer coroutines it is made of.
        answering = asyncio.create_task(self._answer(request, send, scope.get("extensions", {}).get(WAY)))
        del request, body  # a stream may outlive its need of them by minutes
        listening = asyncio.create_task(_cancel_when_gone(receive, answering))
        try:
            await answering
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Otherwise the client is gone.
        finally:
            listening.cancel()

    async def _answer(self, request: HttpRequest, send: Any, way: Any) -> None:
        try:
            response = await self._middleware_chain(request)
        except asyncio.CancelledError:
            signals.request_finished.send(sender=self.__class__)
            raise
        request.close()
        if response.status_code >= 400:
            log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
        sign_in = getattr(request, "sign_in", None)
        del request
        if isinstance(response, EventStreamResponse) and response.outlet is not None:
            response.outlet.way = way
        await self._send(response, send, sign_in)

    async def _send(self, response: HttpResponseBase, send: Any, sign_in: SignIn | None = None) -> None:
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        try:
            if isinstance(response, EventStreamResponse):
                with open_streams.opened(sign_in) as stream:
                    await self._send_events(response, send, stream)
            else:
                await self.send_response(response, send)
        finally:
            response.close()

    async def _send_events(self, response: EventStreamResponse, send: Any, stream: OpenStream | None) -> None:
        """Send what the response yields to its end, or until its reader is signed out."""
        await send(_head(response))
        latest, last, is_whole = b"", b"", True
        try:
            async with response.batches() as batches:
                async for batch in batches:
                    if batch is not PING:
                        latest = batch
                    is_whole = False
                    if len(batch) <= self.chunk_size:
                        more = type(batch) is not Last
                        await send({"type": "http.response.body", "body": batch, "more_body": more})
                        if not more:
                            return
                    else:
                        for chunk, _ in self.chunk_bytes(batch):
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    is_whole = True
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stream is None or not stream.is_signed_out or task is None or task.uncancel():
                raise  # the client is gone
            # What has been sent by half, or not at all, cannot be followed by where to go on.
            last = response.signed_out(latest) if is_whole else b""
        await send({"type": "http.response.body", "body": last})


def _head(response: HttpResponseBase) -> dict[str, Any]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _cancel_when_gone(receive: Any, answering: asyncio.Task[None]) -> None:
    await receive()
    answering.cancel()


# At a request's start Django would go to a thread and back for what its end has seen to already:
# no connection is kept open between requests, and queries are only noted down with DEBUG.
signals.request_started.disconnect(close_old_connections)
if not settings.DEBUG:
    signals.request_started.disconnect(reset_queries)

# What these give back at its end, a request of the API has never held: `in_db` gives back its own.
for _receiver in (close_old_connections, close_caches, reset_urlconf):
    signals.request_finished.disconnect(_receiver)
    signals.request_finished.connect(_receiver, sender=PageHandler)
