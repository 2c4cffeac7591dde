"""Sends chat completion chunks, one HTTP chunk per token; prints its port first."""

import asyncio
import json

import uvloop

CHUNK = {
    "id": "chatcmpl-9Xa1b2c3d4e5f6g7h8i9j0",
    "object": "chat.completion.chunk",
    "created": 1763848800,
    "model": "gpt-5-mini-2025-08-07",
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
    "choices": [{"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}],
    "usage": None,
}


async def serve() -> None:
    event = b"data: %b\n\n" % json.dumps(CHUNK).encode()
    last = json.dumps({**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode()
    end = b"data: %b\n\ndata: [DONE]\n\n" % last
    token, end = (b"%x\r\n%b\r\n" % (len(part), part) for part in (event, end))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                length = int(asked.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                # /tokens/pace/chat/completions
                _, tokens, pace, *_ = asked.split(b" ", 2)[1].split(b"/")
                writer.write(head)
                for _ in range(int(tokens)):
                    writer.write(token)
                    if int(pace):
                        await asyncio.sleep(1 / int(pace))
                    else:
                        await writer.drain()
                writer.write(end + b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
