"""The server's HTTP protocol, with bounds on what comes before the body, and on who takes nothing.

uvicorn's fast parser keeps request headers in memory without a limit, and for
as long as a client likes to go on sending them. And it waits for a client that
has stopped reading for as long as that keeps the connection open.
"""

import asyncio
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chatproject.http10 import Http10Protocol

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 30
# A client that takes nothing of what waits for it is cut off after so long; so often we look.
STALLED_SECONDS = 60
LOOK_SECONDS = 15

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


# The name of the extension by which an application finds the way past `send`.
WAY = "chat.way"


class DirectWay:
    """Writes a piece of a response's body without `send`, which has to be awaited, and a task for that.

    It is free while nothing would have to be waited for, and the response has begun and not ended.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    @property
    def is_free(self) -> bool:
        cycle = self._cycle
        return (
            cycle.chunked_encoding is True
            and not cycle.flow.write_paused
            and not cycle.disconnected
            and not cycle.response_complete
            and not cycle.transport.is_closing()
        )

    def write(self, piece: bytes) -> None:
        self._cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))


class BoundedProtocol(Http10Protocol):
    """Refuses a head that is too long or comes too slowly, and cuts off who has stopped reading."""

    # What is being answered; `cycle` is the last that was asked, which may have to wait for its turn.
    _under_way: RequestResponseCycle | None = None
    _in_head = True
    _head_bytes = 0
    _turned = False  # from head to body or back, within the data at hand
    _deadline: asyncio.TimerHandle | None = None
    _next_look: asyncio.TimerHandle | None = None
    _waiting: int | None = None  # bytes that the client had yet to take, and could only become fewer
    _waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._next_look = self.loop.call_later(LOOK_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)
        self._turned = False
        super().data_received(data)
        if not self._in_head or self._turned:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head, self._turned = False, True
        self._cancel_deadline()
        super().on_headers_complete()
        if self.scope["type"] == "http" and self.cycle is not None:
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions[WAY] = DirectWay(self.cycle)

    def on_message_complete(self) -> None:
        self._in_head, self._turned = True, True
        self._head_bytes = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        if self._next_look is not None:
            self._next_look.cancel()
        cycle = self._under_way
        if cycle is not None and cycle is not self.cycle and not cycle.response_complete:
            # uvicorn tells only the last one.
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._waiting = None  # the client has taken something
        super().resume_writing()

    def _look(self) -> None:
        """Cut the client off if it has taken nothing for too long, else look again later.

        What waits only shows that while nothing is added: while writing is paused,
        behind a whole response, or when the connection is to be closed.
        """
        self._next_look = self.loop.call_later(LOOK_SECONDS, self._look)
        now = self.loop.time()
        waiting = self.transport.get_write_buffer_size()
        written = self._under_way is None or self._under_way.response_complete
        if not waiting or not (self.flow.write_paused or written or self.transport.is_closing()):
            self._waiting = None
        elif self._waiting is None or waiting < self._waiting:
            self._waiting, self._waiting_since = waiting, now
        elif now - self._waiting_since >= STALLED_SECONDS:
            # Closing would wait for the client once more.
            self.transport.abort()

    def _too_slow(self) -> None:
        self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
