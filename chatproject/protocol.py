"""The server's HTTP protocol, with bounds on what a client may send, and on a client that takes nothing.

uvicorn's fast parser keeps request headers, trailers and pipelined requests in memory without a limit, for
as long as a client goes on sending them. And it waits for a client that has stopped reading for as long as
that keeps the connection open.
"""

import asyncio
import weakref
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from chatproject import request_ids
from chatproject.http10 import Http10Protocol
from chatproject.request_framing import HEADERS, Refused, RequestFraming

# How long a client may take to send a head, the first one included, and then a body. The handlers give a
# body five seconds less: they can still say why they refuse it.
HEAD_SECONDS = 30
BODY_SECONDS = 65
# A client that sends its next requests early has to wait with more than this until it is their turn.
AHEAD_BYTES = 16 << 10
# After so much of one connection, the others have their turn.
TURN_BYTES = 16 << 10
TURN_PIECES = 64
# A client that takes nothing of what waits for it is cut off after so long; so often we look.
STALLED_SECONDS = 60
LOOK_SECONDS = 15

# The name of the extension by which an application finds the way past `send`.
WAY = "chat.way"


class DirectWay:
    """Writes a piece of a response's body without `send`, which has to be awaited, and a task for that.

    It is free while nothing would have to be waited for, and the response has begun and not ended.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        # The request's scope leads here: a strong reference would keep both, with all headers, until the
        # garbage collector comes.
        self._cycle = weakref.ref(cycle)

    @property
    def is_free(self) -> bool:
        cycle = self._cycle()
        return (
            cycle is not None
            and cycle.chunked_encoding is True
            and not cycle.flow.write_paused
            and not cycle.disconnected
            and not cycle.response_complete
            and not cycle.transport.is_closing()
        )

    def add_header(self, header: tuple[bytes, bytes]) -> None:
        """Send a header with the response, whatever the application says in its head."""
        if (cycle := self._cycle()) is not None:
            cycle.default_headers = [*cycle.default_headers, header]

    def write(self, piece: bytes) -> None:
        if (cycle := self._cycle()) is not None:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))


class HoldingFlow(FlowControl):
    """uvicorn's flow control, which goes on reading whenever a request asks for more of its body."""

    is_ahead = False  # so much has come and waits to be parsed that no more is read

    def resume_reading(self) -> None:
        if not self.is_ahead:
            super().resume_reading()


class BoundedProtocol(Http10Protocol):
    """Parses one request at a time, refuses what is too much or comes too slowly, and cuts off idle readers.

    A request that comes while the one before it is answered waits unparsed, and nothing more is read.
    """

    _flow: HoldingFlow
    _framing: RequestFraming
    _has_body = False
    _deadline: asyncio.TimerHandle | None = None
    _deadline_seconds: float | None = None
    _next_turn: asyncio.Handle | None = None
    _next_look: asyncio.TimerHandle | None = None
    _waiting: int | None = None  # bytes that the client had yet to take, and could only become fewer
    _waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = HoldingFlow(transport)
        self._framing = RequestFraming()
        self._next_look = self.loop.call_later(LOOK_SECONDS, self._look)
        self._set_deadline()

    # --- reading

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._framing.add(data)
        self._parse()
        self._set_deadline()

    def _parse(self) -> None:
        """Give the parser a turn's share, up to the end of a request that is not answered yet."""
        if self._next_turn is not None:
            return
        framing = self._framing
        size = pieces = 0
        try:
            while framing.waiting_bytes and not self.transport.is_closing():
                if self._is_answering and not framing.in_body:
                    if framing.waiting_bytes > AHEAD_BYTES:
                        self._hold_reading()
                    return
                if size >= TURN_BYTES or pieces >= TURN_PIECES:
                    self._hold_reading()
                    self._next_turn = self.loop.call_soon(self._take_turn)
                    return
                if not (piece := framing.next_piece()):
                    return
                size, pieces = size + len(piece), pieces + 1
                in_body, self._has_body = framing.in_body, False
                self.parser.feed_data(piece)
                if in_body and not self._has_body:
                    framing.count_overhead(len(piece))
        except Refused as refused:
            self._refuse(refused.status)
        except httptools.HttpParserError as exc:
            # What a callback raises comes out as the context of the parser's own error.
            cause = exc.__context__
            self._refuse(cause.status if isinstance(cause, Refused) else 400)

    def _hold_reading(self) -> None:
        self._flow.is_ahead = True
        self._flow.pause_reading()

    def _take_turn(self) -> None:
        self._next_turn = None
        if self.transport.is_closing():
            return
        self._flow.is_ahead = False
        self._parse()
        # An application that has yet to take much of a body resumes reading itself.
        if self.cycle is None or self.cycle.response_complete or len(self.cycle.body) <= HIGH_WATER_LIMIT:
            self._flow.resume_reading()
        self._set_deadline()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._framing.in_body:
            return  # a trailer: nobody asks for one
        if len(self.headers) >= HEADERS:
            raise Refused(431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._framing.head_ended(self.headers)
        super().on_headers_complete()
        if self.scope["type"] == "http" and self.cycle is not None:
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions[WAY] = way = DirectWay(self.cycle)
            extensions[request_ids.ADD_HEADER] = way.add_header

    def on_body(self, body: bytes) -> None:
        self._has_body = True
        self._framing.count_body(len(body), wanted=not self.cycle.response_complete)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing.message_ended()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._flow.is_ahead = self._next_turn is not None
        super().on_response_complete()
        if self.transport.is_closing():
            self._framing.drop()
            return
        if self._framing.waiting_bytes:
            self._unset_keepalive_if_required()
            self._parse()
        self._set_deadline()

    # --- refusing

    def _refuse(self, status: int) -> None:
        """Hang up, saying why where no response has begun that this would run into."""
        self._framing.drop()
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if status and (cycle is None or cycle.response_complete or not cycle.response_started):
            request_id = request_ids.choose(self.headers or []).encode()
            head = b"%bx-request-id: %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (STATUS_LINE[status], request_id))
        self.transport.close()

    # --- deadlines

    def _set_deadline(self) -> None:
        """Give the client its time for what it has to send next, unless it has had some of it already."""
        seconds = self._seconds_left_to_send()
        if seconds == self._deadline_seconds:
            return
        self._cancel_deadline()
        if seconds is not None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(seconds, self._too_slow)
            self._deadline_seconds = seconds

    def _seconds_left_to_send(self) -> float | None:
        if self._framing.in_body:
            return BODY_SECONDS
        if self._is_answering or self.timeout_keep_alive_task is not None:
            return None
        return HEAD_SECONDS

    def _too_slow(self) -> None:
        self._framing.drop()
        self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._deadline_seconds = None

    # --- the connection's life

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        for handle in (self._next_look, self._next_turn):
            if handle is not None:
                handle.cancel()
        self._framing.drop()
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
        if not waiting or not (
            self.flow.write_paused or not self._is_answering or self.transport.is_closing()
        ):
            self._waiting = None
        elif self._waiting is None or waiting < self._waiting:
            self._waiting, self._waiting_since = waiting, now
        elif now - self._waiting_since >= STALLED_SECONDS:
            # Closing would wait for the client once more.
            self.transport.abort()
