"""The streaming response."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from django.http import StreamingHttpResponse
from django.utils import translation

from chat.answers import Outlet


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

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Django closes only this outermost generator; ours would be left to the garbage collector.
        async with self.batches() as batches:
            async for batch in batches:
                yield batch
