"""How a request goes through the application: bounded bodies, clients that leave, and who answers what."""

import asyncio
import gc
import json
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core import signals
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver, path
from django.utils import translation
from redis.exceptions import ConnectionError as RedisConnectionError

from chat.events import Last
from chat.responses import EventStreamResponse
from chatproject import handlers
from chatproject.middleware import is_api

Message = MutableMapping[str, Any]
begun = asyncio.Event()
closed: list[str] = []


async def whole(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{translation.get_language()} {request.body.decode()}")


async def waiting(request: HttpRequest) -> HttpResponse:
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        closed.append("view")
    raise AssertionError("unreachable")


async def streamed(request: HttpRequest) -> EventStreamResponse:
    return EventStreamResponse(numbers())


async def numbers() -> AsyncGenerator[bytes, None]:
    try:
        yield translation.get_language().encode()
        yield b"x" * 200_000
        await asyncio.sleep(0)
        while True:
            yield b"more"
    finally:
        closed.append("events")


async def ending(request: HttpRequest, size: int) -> EventStreamResponse:
    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            yield Last(b"x" * size)
        finally:
            closed.append("ending")

    return EventStreamResponse(events())


async def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of ours")


def without_redis(request: HttpRequest) -> HttpResponse:
    raise RedisConnectionError("no Redis")


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name)


urlpatterns = [
    path("api/whole", whole),
    path("api/waiting", waiting),
    path("api/streamed", streamed),
    path("api/ending/<int:size>", ending),
    path("api/broken", broken),
    path("page", page),
    path("without-redis", without_redis),
]
handler500 = "chatproject.errors.server_error"


class Call:
    """One request as a server would make it; `receive` gives what `incoming` holds, and then waits."""

    def __init__(self, path: str, *incoming: Message, headers: dict[str, str] | None = None) -> None:
        given = {"host": "localhost", "accept-language": "en"} | (headers or {})
        self.scope = {
            "type": "http",
            "method": "POST" if path.startswith("/api") else "GET",
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for message in incoming or ({"type": "http.request"},):
            self.incoming.put_nowait(message)
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], Awaitable[None]] | None = None

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.on_send is not None:
            await self.on_send(message)

    async def run(self, root_path: str = "") -> None:
        from chatproject.asgi import application

        self.scope["root_path"] = root_path
        async with asyncio.timeout(10):
            await application(self.scope, self.incoming.get, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


@pytest.fixture(autouse=True)
def own_urls(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # the application wants to have one
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr(sys.modules[__name__], "begun", asyncio.Event())  # each test has its own loop
    closed.clear()


async def test_a_page_says_that_a_service_is_away(settings: Any) -> None:
    # No static files have been collected here.
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": plain}}
    call = Call("/without-redis")
    await call.run()
    headers = dict(call.sent[0]["headers"])
    assert (call.status, headers[b"Retry-After"]) == (503, b"5")
    assert b"cannot reach its database or cache" in call.body


# --- bodies ---------------------------------------------------------------------------------------


async def test_a_body_in_pieces_arrives_whole() -> None:
    call = Call(
        "/api/whole",
        {"type": "http.request", "body": b"one ", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"two"},
    )
    await call.run()
    assert (call.status, call.body) == (200, b"en one two")


@pytest.mark.parametrize("path", ["/api/whole", "/page"])
async def test_a_body_that_grows_too_large_is_refused(settings: Any, path: str) -> None:
    settings.MAX_BODY_BYTES = 5
    piece = {"type": "http.request", "body": b"123", "more_body": True}
    call = Call(path, piece, piece, piece)
    await call.run()
    assert (call.status, json.loads(call.body)["code"]) == (413, "body_too_large")
    assert call.incoming.qsize() == 1  # no more was read than had to be


@pytest.mark.parametrize("path", ["/api/whole", "/page"])
async def test_a_body_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(handlers, "BODY_SECONDS", 0.05)
    call = Call(path, {"type": "http.request", "body": b"{", "more_body": True})
    await call.run()
    assert (call.status, json.loads(call.body)["code"]) == (408, "body_too_slow")


@pytest.mark.parametrize("path", ["/api/whole", "/page"])
async def test_a_client_that_leaves_before_its_body_has_ended_is_not_answered(path: str) -> None:
    call = Call(path, {"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
    await call.run()
    assert call.sent == []


# --- clients that leave ---------------------------------------------------------------------------


async def test_a_view_is_cancelled_when_the_client_is_gone() -> None:
    call = Call("/api/waiting")
    running = asyncio.ensure_future(call.run())
    await begun.wait()
    call.leave()
    await running
    assert (closed, call.sent) == (["view"], [])


async def test_a_stream_is_closed_when_the_client_leaves_in_the_middle_of_sending() -> None:
    call = Call("/api/streamed")

    async def stuck(message: Message) -> None:
        if message.get("body") == b"more":
            call.leave()
            await asyncio.Event().wait()

    call.on_send = stuck
    gc.disable()
    try:
        await call.run()
        assert closed == ["events"]
    finally:
        gc.enable()


async def test_a_server_that_ends_a_request_is_not_mistaken_for_a_client_that_leaves() -> None:
    running = asyncio.ensure_future(Call("/api/waiting").run())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed == ["view"]


# --- what is sent ---------------------------------------------------------------------------------


async def test_a_stream_speaks_its_language_and_is_sent_in_pieces_that_a_server_can_hold_back() -> None:
    call = Call("/api/streamed")

    async def until_more(message: Message) -> None:
        if message.get("body") == b"more":
            call.leave()
        await asyncio.sleep(0)

    call.on_send = until_more
    await call.run()
    assert (call.status, call.sent[1]["body"]) == (200, b"en")
    assert max(len(message.get("body", b"")) for message in call.sent) == 1 << 16
    assert call.body.count(b"x") == 200_000
    assert all(message["more_body"] for message in call.sent[1:])


@pytest.mark.parametrize("size", [10, 200_000])
async def test_the_last_of_a_stream_ends_the_response(size: int) -> None:
    call = Call(f"/api/ending/{size}")
    await call.run()
    assert call.body == b"first" + b"x" * size
    assert [message.get("more_body", False) for message in call.sent[1:]][-2:] == [True, False]
    assert len(call.sent) == (3 if size == 10 else 7)
    assert closed == ["ending"]


async def test_a_fault_of_ours_has_the_headers_of_every_answer(caplog: pytest.LogCaptureFixture) -> None:
    call = Call("/api/broken")
    await call.run()
    headers = {name.decode().lower(): value.decode() for name, value in call.sent[0]["headers"]}
    assert (call.status, json.loads(call.body)["code"]) == (500, "server_error")
    assert headers["cache-control"] == "no-store"
    assert "Accept-Language" in headers["vary"]
    assert "RuntimeError" in caplog.text


async def test_every_request_of_the_api_is_told_to_have_finished() -> None:
    seen: list[str] = []

    def note(**kwargs: Any) -> None:
        seen.append("finished")

    signals.request_finished.connect(note)
    try:
        await Call("/api/whole").run()
        gone = Call("/api/waiting")
        gone.leave()
        await gone.run()
    finally:
        signals.request_finished.disconnect(note)
    assert seen == ["finished", "finished"]


# --- who answers what -----------------------------------------------------------------------------


async def test_pages_run_on_their_lanes_wherever_the_project_is_mounted() -> None:
    for root, where in (("", "/page"), ("/below", "/below/page")):
        call = Call(where)
        await call.run(root)
        assert call.body.startswith(b"page-")


async def test_the_api_is_the_api_wherever_the_project_is_mounted() -> None:
    call = Call("/below/api/whole")
    await call.run("/below")
    assert (call.status, call.body) == (200, b"en ")


def test_every_view_of_the_api_is_a_coroutine(settings: Any) -> None:
    found = list(views(get_resolver("chatproject.urls").url_patterns))
    assert len([where for where, _ in found if is_api(where)]) > 20
    assert [where for where, is_async in found if is_api(where) and not is_async] == []


def views(patterns: Any, before: str = "/") -> Iterator[tuple[str, bool]]:
    for pattern in patterns:
        where = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, where)
        elif isinstance(pattern, URLPattern):
            yield where, iscoroutinefunction(pattern.callback)
