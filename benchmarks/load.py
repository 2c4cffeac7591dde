"""The load generator, in a process of its own: many readers of many streams, each text checked.

    python -m benchmarks.load < plan.json

The plan says where to (`port`, `path`), with what (`requests`, taken in turn),
how many streams side by side (`streams`), over how many seconds they begin
(`ramp`), whether evenly or each somewhere within its share of them
(`scattered`), how many answers each reads one after the other (`each`), of how
many `tokens`, and when to give up (`deadline`, in seconds). It prints `open`
when every stream has its first token, and at the end one line of JSON.
"""

import asyncio
import gc
import random
import re
import sys
import time
from array import array
from collections import Counter
from typing import Any
from zlib import crc32

import orjson
import uvloop

STAMP = re.compile(r"([0-9a-f]{16})\|")


class Wrong(Exception):
    """Why an answer does not count; the text is a short kind, not a particular."""


class Results:
    def __init__(self, streams: int) -> None:
        self.waiting_for_first = streams
        self.latencies = array("q")
        self.first_tokens: list[float] = []
        self.durations: list[float] = []
        self.events = 0
        self.tokens = 0
        self.complete = 0
        self.wrong: Counter[str] = Counter()

    def stream_opened(self) -> None:
        self.waiting_for_first -= 1
        if self.waiting_for_first == 0:
            print("open", flush=True)


class Answer(asyncio.Protocol):
    """One connection, on which one answer after the other is asked for and read."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.link = transport

    async def ask(self, request: bytes, tokens: int) -> None:
        self._done = asyncio.get_running_loop().create_future()
        self._head_read = False
        self._raw = b""
        self._text = b""
        self._pieces: list[str] = []
        self._ended = False
        self._asked_at = time.monotonic_ns()
        self.first_token: float | None = None
        self.link.write(request)
        await self._done
        duration = (time.monotonic_ns() - self._asked_at) / 1e6
        self._check("".join(self._pieces), tokens)
        results = self._results
        results.durations.append(duration)
        results.complete += 1
        results.tokens += tokens

    def _check(self, text: str, tokens: int) -> None:
        body, _, checksum = text.rpartition("#")
        if not self._ended:
            raise Wrong("no end event")
        if checksum != f"{crc32(body.encode()):08x}":
            raise Wrong("text differs")
        stamps = len(STAMP.findall(body))
        if stamps and stamps != tokens - 1:
            raise Wrong("token count differs")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("connection lost")

    def _fail(self, why: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(Wrong(why))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._done is None or self._done.done():
            return
        raw = self._raw + data if self._raw else data
        if not self._head_read:
            head, separator, raw = raw.partition(b"\r\n\r\n")
            if not separator:
                self._raw = head
                return
            status = head[9:12].decode("latin-1")
            if status != "200":
                return self._fail(f"status {status}")
            if b"transfer-encoding: chunked" not in head.lower():
                return self._fail("not chunked")
            self._head_read = True
        last = False
        at = 0
        taken = [self._text]
        while (line_end := raw.find(b"\r\n", at)) >= 0:
            size = int(raw[at:line_end], 16)
            if len(raw) < line_end + size + 4:
                break
            taken.append(raw[line_end + 2 : line_end + 2 + size])
            at = line_end + size + 4
            if size == 0:
                last = True
                break
        self._raw = raw[at:]
        *blocks, self._text = b"".join(taken).split(b"\n\n")
        for block in blocks:
            self._event(block, now)
        if last and not self._done.done():
            self._done.set_result(None)

    def _event(self, block: bytes, now: int) -> None:
        start = block.find(b"data: ")
        if start < 0:
            return
        data = block[start + 6 :]
        if data == b"[DONE]":
            self._ended = True
            return
        fields = orjson.loads(data)
        if (text := fields.get("content")) is None:
            if choices := fields.get("choices"):
                text = choices[0]["delta"].get("content")
            elif b"event: done" in block:
                self._ended = True
            elif b"event: error" in block:
                self._fail(f"error event {fields.get('code', '')}".strip())
        if not text:
            return
        self._pieces.append(text)
        self._results.events += 1
        if self.first_token is None:
            self.first_token = (now - self._asked_at) / 1e6
            self._results.first_tokens.append(self.first_token)
        for stamp in STAMP.findall(text):
            self._results.latencies.append(now - int(stamp, 16))


def http_request(port: int, path: str, headers: dict[str, str], body: dict[str, object]) -> bytes:
    data = orjson.dumps(body)
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()] + [f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


async def one_stream(plan: dict, number: int, results: Results) -> None:
    loop = asyncio.get_running_loop()
    # The same moments for everybody.
    late = random.Random(number).random() if plan["scattered"] else 0
    await asyncio.sleep(plan["ramp"] * (number + late) / plan["streams"])
    request = plan["requests"][number % len(plan["requests"])]
    wire = http_request(plan["port"], plan["path"], request["headers"], request["body"])
    answer: Answer | None = None
    opened = False
    for _ in range(plan["each"]):
        try:
            if answer is None:
                _, answer = await loop.create_connection(lambda: Answer(results), "127.0.0.1", plan["port"])
            asked = asyncio.ensure_future(answer.ask(wire, plan["tokens"]))
            while not opened and not asked.done():
                # Looked at now and then: this is only to know that everybody is there.
                await asyncio.wait([asked], timeout=0.2)
                if answer.first_token is not None or asked.done():
                    opened = True
                    results.stream_opened()
            await asked
        except (Wrong, OSError) as exc:
            results.wrong[str(exc) if isinstance(exc, Wrong) else type(exc).__name__] += 1
            if answer is not None:
                answer.link.abort()
                answer = None
        if not opened:
            opened = True
            results.stream_opened()
    if answer is not None:
        answer.link.close()


def percentile(values: list[float], percent: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


async def run(plan: dict) -> dict:
    results = Results(plan["streams"])
    began = time.monotonic()
    streams = [asyncio.ensure_future(one_stream(plan, n, results)) for n in range(plan["streams"])]
    _, pending = await asyncio.wait(streams, timeout=plan["deadline"])
    seconds = time.monotonic() - began
    for stream in pending:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    wanted = plan["streams"] * plan["each"]
    missing = wanted - results.complete - results.wrong.total()
    if missing:
        results.wrong["not in time"] += missing
    latencies = [ns / 1e6 for ns in results.latencies]
    return {
        "wanted": wanted,
        "complete": results.complete,
        "wrong": dict(results.wrong),
        "tokens": results.tokens,
        "events": results.events,
        "seconds": seconds,
        "latency": [percentile(latencies, 50), percentile(latencies, 99)],
        "first_token": [percentile(results.first_tokens, 50), percentile(results.first_tokens, 99)],
        "duration": [percentile(results.durations, 50), percentile(results.durations, 99)],
        "load_cpu": time.process_time(),
    }


def main() -> None:
    plan = orjson.loads(sys.stdin.buffer.read())
    # A pause of ours would be counted as theirs.
    gc.disable()
    print(orjson.dumps(uvloop.run(run(plan))).decode(), flush=True)


if __name__ == "__main__":
    main()
