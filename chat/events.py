"""The events of an answer's stream, their positions, and their form on the wire."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

# One newline, not two: an empty line would make some clients dispatch an empty event.
PING = b": ping\n"


class Last(bytes):
    """What ends a stream: it can be sent together with the end of the response, in one write."""

    __slots__ = ()


class Position(NamedTuple):
    """How much of a message a reader has, in characters.

    `resets` says how often its content had been moved to its reasoning by then: the characters of before
    are others than those of after.
    """

    reasoning: int
    content: int
    resets: int = 0

    def is_lost(self, end: "Position") -> bool:
        """Whether a message that ends at `end` has no such position: it was reset, or has lost some text."""
        return self.chars > 0 and (
            self.resets != end.resets or self.reasoning > end.reasoning or self.content > end.content
        )

    @property
    def chars(self) -> int:
        return self.reasoning + self.content

    def __str__(self) -> str:
        return f"{self.reasoning}-{self.content}{f'.{self.resets}' if self.resets else ''}"


START = Position(0, 0)

_EVENT_ID = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d{1,9})-(\d{1,9})(?:\.(\d{1,4}))?(\.end)?"
)


@dataclass(frozen=True, slots=True)
class EventId:
    """A reader's position in a message; with `ended`, the reader has also seen how the answer ended."""

    message_id: UUID
    position: Position
    ended: bool = False


def parse_id(text: str) -> EventId | None:
    """Return what an event id says, or None for one that we never gave."""
    match = _EVENT_ID.fullmatch(text)
    if match is None:
        return None
    position = Position(int(match[2]), int(match[3]), int(match[4] or 0))
    return EventId(UUID(match[1]), position, match[5] is not None)


def encode(
    name: str, message_id: UUID | str, position: Position, data: dict[str, Any], *, ended: bool = False
) -> bytes:
    """Return one event. JSON escapes line breaks, so the payload is always one data line.

    The id comes first: some readers look for an `event` line with a `data` line right behind it.
    With `ended` the event is the end of the answer, and nothing can be resumed from its id.
    """
    end = ".end" if ended else ""
    head = f"id: {message_id}:{position}{end}\nevent: {name}\ndata: "
    return head.encode() + orjson.dumps({"type": name, **data}) + b"\n\n"


def text_form(name: str, message_id: UUID, resets: int = 0) -> bytes:
    """Return what `%` makes an event with text of, from the two numbers of its position and the text in JSON.

    An answer has thousands of them, so what they share is made once.
    """
    after = f".{resets}" if resets else ""
    names = {b"name": name.encode(), b"id": str(message_id).encode(), b"resets": after.encode()}
    lines = b'id: %(id)b:%%d-%%d%(resets)b\nevent: %(name)b\ndata: {"type":"%(name)b","content":%%b}\n\n'
    return lines % names
