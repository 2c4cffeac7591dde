"""Responses to HTTP/1.0 clients, which know no chunked framing: their body ends with the connection."""

from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

WITHOUT_CHUNKS = {"0.9", "1.0"}


class Http10Protocol(HttpToolsProtocol):
    """uvicorn's protocol frames every body without a length as chunks, whatever the client speaks."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["http_version"] in WITHOUT_CHUNKS:
            app = _until_close(cycle, app)
        super()._start_asgi_task(cycle, app)


def _until_close(cycle: RequestResponseCycle, app: ASGI3Application) -> Any:
    async def unframed(scope: Any, receive: Any, send: Any) -> None:
        has_length = False

        async def send_unframed(message: Any) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                # Some name the header in capitals.
                has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                cycle.keep_alive = False
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)

    return unframed
