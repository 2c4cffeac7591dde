"""Where passwords are hashed: a few at a time, and on none of the threads that pages need.

Hashing a password takes half a second of a processor. Many sign-ins at once
must leave the page threads and most database threads to everybody else.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from chatproject.db import in_db
from chatproject.errors import ApiError

P = ParamSpec("P")
R = TypeVar("R")

AT_ONCE = 2
# More than this many would wait for a minute, and most of them in vain.
MOST_WAITING = 100
RETRY_SECONDS = 15

_turns = asyncio.Semaphore(AT_ONCE)
_waiting = 0


class Busy(ApiError):
    status_code = 503
    code = "busy"
    text = _("Too many people are signing in right now. Try again in a moment.")


async def with_hashing(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` as `in_db` does, when its turn comes; raises `Busy` where too many wait already."""
    global _waiting
    if _waiting >= MOST_WAITING:
        raise Busy(retry_after=RETRY_SECONDS)
    _waiting += 1
    try:
        await _turns.acquire()
    finally:
        _waiting -= 1
    # The turn lasts as long as the work does, which goes on when the client hangs up.
    unit = asyncio.ensure_future(in_db(work, *args, **kwargs))
    unit.add_done_callback(lambda _: _turns.release())
    return await asyncio.shield(unit)


def hashing_page(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """Return a page's view that waits for its turn to hash without holding a page thread."""

    async def on_loop(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.method != "POST":
            return await in_db(_rendered, view, request, *args, **kwargs)
        try:
            return await with_hashing(_rendered, view, request, *args, **kwargs)
        except Busy as exc:
            return await in_db(_busy, request, exc)

    return on_loop


def _rendered(
    view: Callable[..., HttpResponseBase], request: HttpRequest, *args: object, **kwargs: object
) -> HttpResponseBase:
    response = view(request, *args, **kwargs)
    if callable(render_now := getattr(response, "render", None)):
        render_now()
    return response


def _busy(request: HttpRequest, exc: Busy) -> HttpResponse:
    context = {"status": exc.status_code, "code": exc.code, "text": exc.text}
    response = render(request, "error.html", context, status=exc.status_code)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response
