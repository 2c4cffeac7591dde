"""What reading a provider's stream costs, in CPU per token: ours beside plain httpx.

    python -m benchmarks.reading [--streams 50] [--tokens 200] [--pace 50] [--rounds 3]

A server in a process of its own sends chat completion chunks, one HTTP chunk
per token: paced as a model speaks, then as fast as it can. Plain httpx reads
lines with `aiter_lines` and parses each with `json`, as most tutorials do; ours
is the whole way from the socket to the parts of an answer. Each figure is the
CPU time of the reading process, the best of some rounds, in turns.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import django
import httpx
import uvloop
from django.conf import settings

from providers import transport
from providers.base import ChatMessage, ChatRequest, TextDelta
from providers.registry import PROVIDERS, ProviderAccess, adapter_for

_client: httpx.AsyncClient
Read = Callable[[str], Awaitable[int]]
TOKEN = " token"
QUESTION = ChatRequest("a-model", (ChatMessage("user", "Hi"),))


async def plain(base_url: str) -> int:
    tokens = 0
    async with _client.stream("POST", f"{base_url}/chat/completions", json={"stream": True}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                chunk = json.loads(line[6:])
                if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                    tokens += 1
    return tokens


async def ours(base_url: str) -> int:
    access = ProviderAccess(PROVIDERS["custom"], base_url, "")
    tokens = 0
    async with aclosing(adapter_for(access).stream(QUESTION)) as parts:
        async for part in parts:
            if isinstance(part, TextDelta):
                tokens += part.text.count(TOKEN)  # several that came at once are one part
    return tokens


async def measure(read: Read, port: int, streams: int, tokens: int, pace: int) -> float:
    """Return microseconds of this process's CPU time per token."""
    since = time.process_time()
    base_url = f"http://127.0.0.1:{port}/{tokens}/{pace}"
    read_tokens = await asyncio.gather(*(read(base_url) for _ in range(streams)))
    spent = time.process_time() - since
    if set(read_tokens) != {tokens}:
        sys.exit(f"tokens were lost: {set(read_tokens)}")
    return spent / (streams * tokens) * 1e6


async def compare(port: int, args: argparse.Namespace) -> None:
    global _client
    transport.configure(transport.Limits(allow_private=True))
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60) as _client:
        for name, tokens, pace in (("paced", args.tokens, args.pace), ("flat out", args.tokens * 5, 0)):
            costs: dict[str, list[float]] = {"plain httpx": [], "ours": []}
            for _ in range(args.rounds + 1):
                for label, read in (("plain httpx", plain), ("ours", ours)):
                    costs[label].append(await measure(read, port, args.streams, tokens, pace))
            # The first round opens the connections and warms up.
            best = {label: min(found[1:]) for label, found in costs.items()}
            ratio = best["ours"] / best["plain httpx"]
            figures = ", ".join(f"{label} {cost:.1f} us" for label, cost in best.items())
            print(f"{name}, {args.streams} streams of {tokens} tokens: {figures} a token; ratio {ratio:.2f}")
    await transport.close_shared()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--pace", type=int, default=50, help="tokens per second and stream")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    # The errors' texts are translatable; nothing else here needs Django.
    settings.configure(USE_I18N=False)
    django.setup()
    command = [sys.executable, "-m", "benchmarks.reading.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            uvloop.run(compare(int(server.stdout.readline()), args))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
