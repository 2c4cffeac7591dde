"""A fast provider that speaks OpenAI's chat completions, in a process of its own.

    python -m benchmarks.provider        prints its port, and ends with its standard input

The model's name says what to answer: `bench-50tps-200tok` is 200 tokens at 50 a
second, `bench-max-1000tok` is 1,000 tokens as fast as they are taken. A paced
token begins with the time at which it was sent (CLOCK_MONOTONIC, in
nanoseconds), so that whoever reads it on the same machine knows how long it was
under way. Every text ends with its own checksum.
"""

import asyncio
import itertools
import re
import socket
import sys
import time
from typing import Any
from zlib import crc32

import orjson
import uvloop

MODEL = re.compile(r"bench-(?:(\d+)tps|max)-(\d+)tok")
# About as long as real tokens, and of one to four bytes a character.
WORDS = [
    "the ",
    "answer ",
    "is ",
    "that ",
    "流式",
    "回答",
    "一个",
    "streams ",
    "of ",
    "text, ",
    "é",
    "🙂 ",
    "in ",
]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
# How many tokens are handed to the kernel at once where there is no pace: one segment's worth or so.
BURST = 50

_numbers = itertools.count(1)
_unpaced: dict[int, list[bytes]] = {}


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Chunks:
    """The events of one answer, each as an HTTP chunk of its own, as providers send them."""

    def __init__(self, model: str) -> None:
        name = f"chatcmpl-{next(_numbers)}"
        self._before = (
            f'data: {{"id":"{name}","object":"chat.completion.chunk","created":{int(time.time())},'
            f'"model":"{model}","choices":[{{"index":0,"delta":{{"content":"'
        ).encode()
        self._finish = (
            f'data: {{"id":"{name}","object":"chat.completion.chunk","model":"{model}",'
            '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        ).encode()
        self._usage = (
            f'data: {{"id":"{name}","choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":%d}}}}\n\n'
        )

    def token(self, text: bytes) -> bytes:
        return http_chunk(self._before + text + b'"},"finish_reason":null}]}\n\n')

    def end(self, tokens: int, *, with_usage: bool) -> bytes:
        usage = http_chunk((self._usage % tokens).encode()) if with_usage else b""
        return http_chunk(self._finish) + usage + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def word(number: int) -> str:
    return WORDS[number * 7 % len(WORDS)]


def checksum_token(checksum: int) -> bytes:
    return b"#%08x" % checksum


class Conversation(asyncio.Protocol):
    """One connection: reads a request, streams its answer, and again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = b""
        self._timer: asyncio.Handle | None = None
        self._paused = False

    def connection_made(self, transport: Any) -> None:
        self._link = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, separator, body = self._read.partition(b"\r\n\r\n")
        if not separator:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if len(body) < (int(length[1]) if length else 0):
            return
        self._read = b""
        request = orjson.loads(body) if body else {}
        model = MODEL.fullmatch(str(request.get("model")))
        if model is None or not head.startswith(b"POST"):
            self._link.write(NOT_FOUND)
            return
        self._with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
        self._chunks = Chunks(model[0])
        self._tokens = int(model[2])
        self._sent = 0
        self._checksum = 0
        self._link.write(HEAD)
        if model[1]:
            self._seconds = 1 / int(model[1])
            self._next = self._loop.time() + self._seconds
            self._timer = self._loop.call_at(self._next, self._send_one)
        else:
            # The first token alone differs from answer to answer, so that no two are alike.
            self._pending = [self._chunks.token(self._count(f"{next(_numbers)}: ".encode()))]
            self._pending += self._unpaced()
            self._send_all()

    def _count(self, text: bytes) -> bytes:
        self._checksum = crc32(text, self._checksum)
        return text

    def _last(self) -> bytes:
        token = self._chunks.token(checksum_token(self._checksum))
        return token + self._chunks.end(self._tokens, with_usage=self._with_usage)

    # --- at a pace

    def _send_one(self) -> None:
        self._sent += 1
        if self._sent >= self._tokens:
            self._link.write(self._last())
            return
        text = f"{time.monotonic_ns():016x}|{word(self._sent)}".encode()
        self._link.write(self._chunks.token(self._count(text)))
        self._next += self._seconds
        self._timer = self._loop.call_at(self._next, self._send_one)

    # --- as fast as it is taken

    def _unpaced(self) -> list[bytes]:
        texts = _unpaced.get(self._tokens)
        if texts is None:
            texts = _unpaced[self._tokens] = [word(n).encode() for n in range(1, self._tokens - 1)]
        self._count(b"".join(texts))
        tokens = [self._chunks.token(text) for text in texts]
        bursts = [b"".join(tokens[n : n + BURST]) for n in range(0, len(tokens), BURST)]
        return [*bursts, self._last()]

    def _send_all(self) -> None:
        self._pending.reverse()
        self._send_burst()

    def _send_burst(self) -> None:
        if self._pending and not self._paused:
            self._link.write(self._pending.pop())
            self._timer = self._loop.call_soon(self._send_burst)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if getattr(self, "_pending", None):
            self._send_burst()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = await loop.create_server(Conversation, sock=listener, backlog=4096)
    print(listener.getsockname()[1], flush=True)
    async with server:
        # The end of our standard input is the end of whoever started us.
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
