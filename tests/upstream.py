"""A provider under test control: a real HTTP server that speaks OpenAI's chat completions as it is told to.

    model = upstream.script("Hel", Wait(0.2), "lo")
    alice.configure("custom", baseUrl=upstream.base_url, apiKey="sk-test")
    answer = alice.stream("Hi", provider="custom", model=model)
    assert model.requests[0].body["messages"][-1] == {"role": "user", "content": "Hi"}

Every script gets a model name of its own, so tests side by side never meet.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Reasoning:
    text: str


@dataclass(frozen=True)
class Raw:
    """Bytes to put on the wire as they are."""

    data: bytes


@dataclass(frozen=True)
class Cut:
    """End the connection here, within the body; with `reset`, by a TCP reset."""

    reset: bool = False


@dataclass(frozen=True)
class Hold:
    """Say nothing more until the test calls `model.release()`; never, if it does not."""


Step = str | Wait | Reasoning | Raw | Cut | Hold


@dataclass
class Request:
    """One request as it arrived, and what became of its connection. Times are time.monotonic()."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float
    sent: int = 0  # pieces of the answer written
    ended_at: float | None = None  # the answer was written to its end
    hung_up_at: float | None = None  # the client left before that
    _over: threading.Event = field(default_factory=threading.Event)

    def wait_for_hang_up(self, timeout: float = 5) -> float:
        """Wait until the client has hung up, and return when that was."""
        self._over.wait(timeout)
        if self.hung_up_at is None:
            raise AssertionError(f"the client did not hang up within {timeout} s")
        return self.hung_up_at

    def wait_for_end(self, timeout: float = 10) -> None:
        """Wait until this request is over, however it ended."""
        if not self._over.wait(timeout):
            raise AssertionError(f"the request was not over within {timeout} s")


class Script(str):
    """A model name that stands for how it answers, and that remembers who asked."""

    steps: tuple[Step, ...]
    delay: float
    status: int
    headers: dict[str, str]
    body: bytes | None
    finish: str | None
    usage: dict[str, Any] | None
    done_marker: bool
    requests: list[Request]
    _arrived: threading.Condition
    _loop: asyncio.AbstractEventLoop
    _released: asyncio.Event

    def wait_for_request(self, number: int = 1, timeout: float = 10) -> Request:
        """Wait until the `number`th request has come, and return it."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= number, timeout):
                raise AssertionError(
                    f"only {len(self.requests)} of {number} requests came within {timeout} s"
                )
        return self.requests[number - 1]

    def release(self) -> None:
        """Let every `Hold` of this script go on, now and from now on."""
        self._loop.call_soon_threadsafe(self._released.set)


class Upstream:
    """The server, in a thread of its own."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._refused: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.list_requests: list[Request] = []
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def script(
        self,
        *steps: Step,
        delay: float = 0,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: bytes | dict[str, Any] | None = None,
        finish: str | None = "stop",
        usage: dict[str, Any] | None = None,
        done_marker: bool = True,
        name: str = "",
    ) -> Script:
        """Say how a new model answers, and return it; it is a plain model name to everybody else.

        Each string among the steps is one piece of the answer, `delay` seconds apart. With `body`, that is
        the whole answer instead, sent with `status`. Without `finish` or `done_marker` the stream lacks them.
        """
        script = Script(name or f"scripted-{secrets.token_hex(6)}")
        script.steps, script.delay, script.status, script.headers = steps, delay, status, headers or {}
        script.body = json.dumps(body).encode() if isinstance(body, dict) else body
        script.finish, script.usage, script.done_marker = finish, usage, done_marker
        script.requests, script._arrived = [], threading.Condition()
        script._loop, script._released = self._loop, asyncio.Event()
        self._scripts[script] = script
        return script

    def failing(self, status: int, message: str = "No.", *, code: str = "failed", **options: Any) -> Script:
        """Return a model that answers with an error, in OpenAI's shape."""
        return self.script(status=status, body=error_body(message, code), **options)

    def refuse_key(self, api_key: str, status: int = 401) -> None:
        """Answer every request that carries this key with an error."""
        self._refused[api_key] = status

    # --- The server itself ---

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await _Connection(self, reader, writer).serve()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the run is over
        finally:
            self._tasks.discard(task)
            writer.close()


class _Connection:
    def __init__(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._early = b""  # the first byte of the next request, where the watch on the client caught it

    async def serve(self) -> None:
        while head := await self._head():
            method, path, headers = head
            length = int(headers.get("content-length", "0"))
            raw = await self._reader.readexactly(length)
            request = Request(path, headers, json.loads(raw) if raw else {}, time.monotonic())
            if not await self._answer(method, request):
                return

    async def _head(self) -> tuple[str, str, dict[str, str]] | None:
        try:
            block = self._early + await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        self._early = b""
        start, *lines = block.decode("latin-1").strip().split("\r\n")
        method, path, _ = start.split(" ")
        pairs = (line.partition(":") for line in lines)
        return method, path, {name.lower(): value.strip() for name, _, value in pairs}

    async def _answer(self, method: str, request: Request) -> bool:
        """Answer one request; return whether the connection goes on."""
        upstream = self._upstream
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key in upstream._refused:
            return await self._plain(
                upstream._refused[key], error_body("Incorrect API key.", "invalid_api_key")
            )
        if (method, request.path) == ("GET", "/v1/models"):
            upstream.list_requests.append(request)
            models = [{"id": str(name), "object": "model"} for name in upstream._scripts]
            return await self._plain(200, {"object": "list", "data": models})
        if (method, request.path) != ("POST", "/v1/chat/completions"):
            return await self._plain(404, error_body("No such path.", "not_found"))
        script = upstream._scripts.get(request.body.get("model", ""))
        if script is None:
            return await self._plain(404, error_body("No such model.", "model_not_found"))
        with script._arrived:
            script.requests.append(request)
            script._arrived.notify_all()
        return await self._watched(script, request)

    async def _watched(self, script: Script, request: Request) -> bool:
        """Write the answer while watching whether the client is still there."""
        writing = asyncio.ensure_future(self._scripted(script, request))
        watching = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({writing, watching}, return_when=asyncio.FIRST_COMPLETED)
            left = watching.done() and (watching.exception() is not None or not watching.result())
            if left and not writing.done():
                request.hung_up_at = time.monotonic()
                return False
            goes_on = await writing
            request.ended_at = time.monotonic()
            if watching.done() and watching.exception() is None:
                self._early = watching.result()
            return goes_on
        except ConnectionError:
            request.hung_up_at = time.monotonic()
            return False
        finally:
            for task in (writing, watching):
                task.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.gather(writing, watching, return_exceptions=True)
            request._over.set()

    async def _scripted(self, script: Script, request: Request) -> bool:
        if script.body is not None:
            return await self._plain(script.status, script.body, script.headers)
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"} | script.headers
        await self._head_out(script.status, headers)
        async with contextlib.aclosing(_bodies(script, request)) as bodies:
            async for data in bodies:
                if isinstance(data, Cut):
                    if data.reset:
                        link: socket.socket = self._writer.get_extra_info("socket")
                        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await self._writer.drain()
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def _plain(
        self, status: int, body: bytes | dict[str, Any], headers: dict[str, str] | None = None
    ) -> bool:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        told = {"Content-Type": "application/json", "Content-Length": str(len(content))} | (headers or {})
        await self._head_out(status, told)
        self._writer.write(content)
        await self._writer.drain()
        return True

    async def _head_out(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._writer.drain()


async def _bodies(script: Script, request: Request) -> AsyncGenerator[bytes | Cut, None]:
    """Yield what to write, step by step: the role first and the end last, as OpenAI does."""
    yield _chunk(script, delta={"role": "assistant", "content": ""})
    for step in script.steps:
        match step:
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Hold():
                await script._released.wait()
            case Raw(data):
                yield data
            case Cut():
                yield step
                return
            case Reasoning(text):
                yield _chunk(script, delta={"reasoning_content": text})
            case str(text):
                if script.delay:
                    await asyncio.sleep(script.delay)
                yield _chunk(script, delta={"content": text})
                request.sent += 1
    if script.finish is not None:
        yield _chunk(script, delta={}, finish_reason=script.finish)
    if script.usage is not None:
        yield _event({"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": script.usage})
    if script.done_marker:
        yield b"data: [DONE]\n\n"


def _chunk(script: Script, *, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": "x", "object": "chat.completion.chunk", "model": str(script), "choices": [choice]})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(data).encode()


def error_body(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}}
