"""Views of the API: DRF's, run as one unit of work on a database thread."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chatproject.conditional import finish
from chatproject.db import in_db
from chatproject.errors import unavailable

# No request waits longer than this for its unit of work: then the database, or Redis, does not answer.
UNIT_SECONDS = 12


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for `text/event-stream`; events are not rendered here."""

    media_type = "text/event-stream"
    format = "events"
    charset = "utf-8"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        raise AssertionError("an event stream is not rendered by DRF")


# What nearly everybody says they accept, and always may have.
USUAL = {"*/*", "text/event-stream", "application/json"}


class StreamNegotiation(DefaultContentNegotiation):
    """Accepts JSON or an event stream; what is refused is refused in JSON either way."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        if request.META.get("HTTP_ACCEPT", "*/*") not in USUAL or request.META.get("QUERY_STRING"):
            super().select_renderer(request, [*renderers, EventStreamRenderer()], format_suffix)
        return JSONRenderer(), JSONRenderer.media_type


class AsyncAPIView(APIView):
    """A DRF view whose handlers run off the event loop, rendering included.

    The handlers themselves are ordinary synchronous ones. One that has more to
    do than the database, such as a stream to follow, returns a `Continuation`.
    """

    # The methods that see to it themselves that a bearer token still lets its holder in: there,
    # `request.user` has nothing but a key before `request.auth.admits` has been asked.
    admits_users: frozenset[str] = frozenset()
    # Whether what GET gives has an ETag, so that a client can ask whether it is still the same.
    revalidates = False
    # Not where a response holds a secret beside what the client has sent: its length would tell of it.
    compresses = True

    @classmethod
    def as_view(cls, *args: Any, **initkwargs: Any) -> Callable[..., Any]:  # type: ignore[override]
        view = super().as_view(*args, **initkwargs)

        async def on_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            # Shielded: a unit of work runs to its end even if the client goes away in
            # the middle of it, and what it has promised must then begin all the same.
            work = asyncio.ensure_future(_unit(view, request, *args, **kwargs))
            try:
                async with asyncio.timeout(UNIT_SECONDS):
                    outcome = await asyncio.shield(work)
            except TimeoutError:
                if work.done():
                    raise  # a fault of the view's own
                return unavailable()
            return await outcome.run() if isinstance(outcome, Continuation) else outcome

        on_loop.__dict__.update(view.__dict__)
        on_loop.__doc__ = cls.__doc__
        on_loop.__name__ = cls.__name__
        return on_loop

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(response, Continuation):
            return response
        return super().finalize_response(request, response, *args, **kwargs)


class Continuation(HttpResponseBase):
    """What a handler returns to go on on the event loop, once its unit of work has ended.

    `begin` is called as soon as the unit of work has been committed, whether or not
    the client is still there. `then` returns the response; a `Response` or an
    exception is told as by any handler.
    """

    def __init__(
        self,
        view: AsyncAPIView,
        then: Callable[[], Awaitable[Response | HttpResponseBase]],
        *,
        begin: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._view = view
        self._then = then
        self.begin = begin

    async def run(self) -> HttpResponseBase:
        try:
            response = await self._then()
        except Exception as exc:  # the view's edge: what is known becomes an answer, the rest a 500
            response = await in_db(self._view.handle_exception, exc)
        if isinstance(response, Response):
            return await in_db(_render, self._view, response)
        return response


async def _unit(
    view: Callable[..., Any], request: HttpRequest, *args: Any, **kwargs: Any
) -> HttpResponseBase:
    return await in_db(_respond, asyncio.get_running_loop(), view, request, *args, **kwargs)


def _respond(
    loop: asyncio.AbstractEventLoop,
    view: Callable[..., Any],
    request: HttpRequest,
    *args: Any,
    **kwargs: Any,
) -> HttpResponseBase:
    response = view(request, *args, **kwargs)
    if isinstance(response, Continuation) and response.begin is not None:
        # From here: whoever waits for this unit hears of its end two turns of the event loop later.
        loop.call_soon_threadsafe(response.begin)
    if isinstance(response, Response):
        response = plain(response)
    elif not isinstance(response, HttpResponse):
        return response
    return _finished(view.cls, request, response)  # type: ignore[attr-defined]  # set by `as_view`


def _finished(
    view: AsyncAPIView | type[AsyncAPIView], request: HttpRequest | Request, response: HttpResponse
) -> HttpResponse:
    return finish(request, response, revalidates=view.revalidates, compresses=view.compresses)


def _render(view: AsyncAPIView, response: Response) -> HttpResponse:
    request = view.request
    finished = view.finalize_response(request, response, *view.args, **view.kwargs)
    return _finished(view, request, plain(finished))


def plain(response: Response) -> HttpResponse:
    """Return a rendered DRF response as a plain one, which Django sends without another thread hop."""
    response.render()
    answer = HttpResponse(response.content, status=response.status_code)
    if getattr(response, "_has_been_logged", False):
        answer._has_been_logged = True  # type: ignore[attr-defined]
    for name, value in response.items():
        answer[name] = value
    return answer
