"""The streaming response."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from django.http import StreamingHttpResponse
from django.utils import translation

from chat.answers import Outlet
from chat.events import encode, parse_id
from chat.faults import SIGNED_OUT, error_data


class EventStreamResponse(StreamingHttpResponse):
    """Server-sent events, whose source is closed as soon as the client is gone.

    Whoever sends it may tell the `outlet` of a way on which pieces can follow at once.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], outlet: Outlet | None = None) -> None:
        self._events = events
        self.outlet = outlet
        # The events are made long after the request's own translation has ended.
        self._language = translation.get_language()
        headers = {
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
        }
        super().__init__(events, content_type="text/event-stream; charset=utf-8", headers=headers)

    @asynccontextmanager
    async def batches(self) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Give the events themselves, in the language they were asked for in."""
        with translation.override(self._language):
            async with aclosing(self._events):
                yield self._events

    def signed_out(self, latest: bytes) -> bytes:
        """Return the event that ends the stream of a reader who was signed out; the answer goes on.

        `latest` is the last batch with an event in it that the response itself has sent. This event's id is
        the place to go on from after signing in again.
        """
        _, _, last = latest.rpartition(b"\nid: ")
        place = parse_id(last.removeprefix(b"id: ").partition(b"\n")[0].decode())
        if place is None:
            return b""
        position = (self.outlet and self.outlet.left_at) or place.position
        with translation.override(self._language):
            data = {"messageId": str(place.message_id), **error_data(SIGNED_OUT)}
        return encode("error", place.message_id, position, data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Django closes only this outermost generator; ours would be left to the garbage collector.
        async with self.batches() as batches:
            async for batch in batches:
                yield batch
