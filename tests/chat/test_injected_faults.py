"""An exception, and a cancellation, at every single await point of an answer's path, one after the other.

The whole path runs here: a request to the ASGI application, a real HTTP provider, a real database, and the
writer that keeps what has arrived. Each time it is disturbed at one more of its suspensions, whichever task
that is in, until it gets through undisturbed. However it went, nothing may be left behind.
"""

import asyncio
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chat import answers, checkpoints, leases
from chat.models import Message
from chatproject.db import in_db
from providers import transport
from tests.upstream import Script, Upstream, Wait

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 1000  # suspensions; the path has far fewer
TEXT = "one two three"
TERMINAL = set(Message.Status.values) - {Message.Status.STREAMING}


class Injected(RuntimeError):
    pass


class Disturber:
    """A task factory that counts the suspensions of all tasks, and disturbs the `at`th."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._at = 0
        self._count = 0
        self.where = ""

    def arm(self, at: int) -> None:
        self._at, self._count, self.where = at, 0, ""

    def disarm(self) -> None:
        self._at = 0

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(self._driven(coro), loop=loop, **options)
        task.add_done_callback(lambda _: coro.close())  # it may have been cancelled before its first step
        return task

    async def _driven(self, coro: Coroutine[Any, Any, Any]) -> Any:
        return await _Steps(self, coro)

    def reached(self, coro: Coroutine[Any, Any, Any], awaited: Any) -> BaseException | None:
        """Note a suspension; the one to disturb cancels the task, or returns what to raise there."""
        self._count += 1
        if self._count != self._at:
            return None
        self.where = f"{getattr(coro, '__qualname__', coro)}, waiting for {awaited!r}"
        if self._kind == "raise":
            return Injected(f"at suspension {self._at}")
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return None


class _Steps:
    def __init__(self, disturber: Disturber, coro: Coroutine[Any, Any, Any]) -> None:
        self._disturber = disturber
        self._coro = coro

    def __await__(self) -> Generator[Any, Any, Any]:
        coro = self._coro
        fault: BaseException | None = None
        while True:
            try:
                awaited = coro.send(None) if fault is None else coro.throw(fault)
            except StopIteration as end:
                return end.value
            fault = self._disturber.reached(coro, awaited)
            if fault is not None:
                if getattr(awaited, "_asyncio_future_blocking", False):
                    awaited._asyncio_future_blocking = False  # nobody waits for it after all
                continue
            try:
                yield awaited
            except GeneratorExit:
                coro.close()
                raise
            except BaseException as exc:
                fault = exc


class Client:
    """Calls the ASGI application as a server would; one that stays to the end."""

    def __init__(self) -> None:
        self.token = ""

    async def call(self, method: str, path: str, body: Any = None) -> AsyncIterator[bytes]:
        """Yield the body of the answer, piece by piece; the response's head is checked by nobody."""
        from chatproject.asgi import application

        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"localhost"), (b"content-length", str(len(content)).encode())]
        headers += [(b"content-type", b"application/json")] if body is not None else []
        headers += [(b"authorization", b"Bearer " + self.token.encode())] if self.token else []
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        told = asyncio.Event()
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not told.is_set():
                told.set()
                return {"type": "http.request", "body": content, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await asyncio.sleep(0)  # as where the connection is busy
            if message["type"] == "http.response.body":
                pieces.put_nowait(message.get("body", b""))

        task = asyncio.ensure_future(application(scope, receive, send))
        task.add_done_callback(lambda _: pieces.put_nowait(None))
        while (piece := await pieces.get()) is not None:
            yield piece
        gone.set()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(task, return_exceptions=True)

    async def json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(b"".join([piece async for piece in self.call(method, path, body)]))


async def patiently(condition: Any, what: str) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0.002)


async def ask(client: Client, model: Script, *, stop: bool) -> None:
    """Ask for an answer and follow it to its end; midway keep what there is, and perhaps stop it."""
    body = {"message": "Hi", "provider": "custom", "model": model}
    said = b""
    midway = False
    async for piece in client.call("POST", "/api/chat/stream", body):
        said += piece
        if b"event: message" in said and not midway:
            midway = True
            # As the process's rhythm does, which an error does not end either.
            kept = (checkpoints.keep_lease(), checkpoints.keep_texts(0))
            await asyncio.gather(*kept, return_exceptions=True)
            if stop:
                session = json.loads(said.split(b"data: ", 2)[1].split(b"\n")[0])["sessionId"]
                async for _ in client.call("POST", f"/api/chat/sessions/{session}/stop"):
                    pass
                # Where that was what went wrong, the answer is stopped all the same: it would take long.
                stop_all()


def stop_all() -> None:
    for answer in list(answers.running.values()):
        answer.stop(answers.STOPPED)


def no_answer_runs(stop: bool) -> bool:
    if stop:  # one that nobody could stop yet, since it had not begun
        stop_all()
    return not answers.running


def newest() -> tuple[str, str] | None:
    row = Message.objects.filter(role="assistant").order_by("-id").values_list("status", "content").first()
    return row and (str(row[0]), row[1])


def forget() -> None:
    Message.objects.all().delete()


@pytest.mark.parametrize("stop", [False, True], ids=["to-the-end", "stopped"])
@pytest.mark.parametrize("kind", ["raise", "cancel"])
def test_nothing_is_left_behind_wherever_it_goes_wrong(
    kind: str, stop: bool, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.CHAT_RATE_LIMIT = "100000/m"
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # the application wants to have one
    monkeypatch.setattr(transport, "_limits", transport.Limits(allow_private=True))
    disturber = Disturber(kind)

    async def disturb_everywhere() -> tuple[int, list[str]]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        client = Client()
        account = {"username": "ada", "password": "correct-horse-battery"}
        client.token = (await client.json("POST", "/api/auth/register", account))["access"]
        config = {"baseUrl": upstream.base_url, "apiKey": "sk-test"}
        await client.json("PUT", "/api/providers/custom/config", config)
        await ask(client, upstream.script(TEXT), stop=False)  # what is made once is made by now
        await in_db(forget)
        statuses = []
        asyncio.get_running_loop().set_task_factory(disturber)  # type: ignore[arg-type]
        for at in range(1, MOST):
            before = asyncio.all_tasks()
            # Stopped in the last wait, which is long enough for that.
            model = upstream.script("one ", "two ", Wait(5 if stop else 0.01), "three")
            disturber.arm(at)
            # The client's own task is no part of the path.
            asking = asyncio.Task(ask(client, model, stop=stop))
            await asyncio.wait([asking], timeout=20)
            assert asking.done(), disturber.where
            undisturbed = not disturber.where
            disturber.disarm()
            await check(before, model)
            ended = await in_db(newest)
            if ended is not None:
                statuses.append(ended[0])
            if undisturbed:
                assert ended == (("stopped", "one two ") if stop else ("complete", "one two three"))
                return at, statuses
        raise AssertionError("the path does not come to its end")

    async def check(before: set["asyncio.Task[Any]"], model: Script) -> None:
        where = disturber.where
        await patiently(lambda: no_answer_runs(stop), f"still running: {where}")
        for request in model.requests:
            await asyncio.to_thread(request.wait_for_end)
        await patiently(lambda: not (asyncio.all_tasks() - before), f"tasks are left: {where}")
        ended = await in_db(newest)
        if ended is not None and ended[0] == "streaming":
            # What was committed and then lost is found by the sweep; the first look only takes note.
            assert await in_db(leases.interrupt_astray, ()) == 0
            assert await in_db(leases.interrupt_astray, ()) == 1, where
            ended = await in_db(newest)
        if ended is not None:
            assert ended[0] in TERMINAL, where
            assert "one two three".startswith(ended[1]), where
            assert ended[0] != "complete" or ended[1] == TEXT, where
        assert len(model.requests) <= 2, where

    async def disturb() -> tuple[int, list[str]]:
        try:
            return await disturb_everywhere()
        finally:
            await transport.close_shared()

    logging.disable()  # what is logged keeps alive what it tells about
    try:
        with asyncio.Runner() as runner:
            count, statuses = runner.run(disturb())
    finally:
        logging.disable(logging.NOTSET)
    gc.collect()  # while what is not ours is still expected to be found

    assert count > 15
    assert len(statuses) > 10
