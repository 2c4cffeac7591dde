"""A strict reader of our own event streams: what the contract does not allow is an error here.

It shares no code with the service, so a mistake cannot hide by being made on both sides.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    name: str
    data: dict[str, Any]
    id: str
    at: float = field(compare=False)  # time.monotonic() when its last byte came


class NotAnEventStream(AssertionError):
    """The bytes break the contract; the text says how."""


class EventReader:
    """Turn bytes, cut anywhere, into events."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self._rest = b""
        self._fields: dict[str, str] = {}
        self._last_id = ""

    def feed(self, data: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [self._line(line.decode("utf-8")) for line in lines]
        return [event for event in events if event is not None]

    def close(self) -> None:
        """Say that the stream has ended: it must not end within an event."""
        if self._rest or self._fields:
            raise NotAnEventStream(f"the stream ends within an event: {self._fields} {self._rest!r}")

    def _line(self, line: str) -> Event | None:
        if "\r" in line:
            raise NotAnEventStream(f"a carriage return in {line!r}")
        if line.startswith(":"):
            self.comments.append(line[1:].strip())
            return None
        if line:
            name, colon, value = line.partition(": ")
            if not colon or name not in {"event", "data", "id"}:
                raise NotAnEventStream(f"an unknown line: {line!r}")
            if name in self._fields:
                raise NotAnEventStream(f"a second {name} line in one event: {line!r}")
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if list(fields) != ["id", "event", "data"]:
            raise NotAnEventStream(f"an event has id, event and data lines in this order, this one {fields}")
        data = json.loads(fields["data"])
        if not isinstance(data, dict):
            raise NotAnEventStream(f"the data is no object: {fields['data']!r}")
        event = Event(fields["event"], data, fields["id"], time.monotonic())
        if data.get("type") != event.name:
            raise NotAnEventStream(f"the data of {event.name} says another type: {fields['data']!r}")
        # These end the connection only: their id is that of the place to go on from.
        if event.name in {"done", "error"} and data.get("code") not in {"shutting_down", "signed_out"}:
            if event.id == self._last_id:
                raise NotAnEventStream(f"the end has the id of another event: {event.id}")
        self._last_id = event.id
        return event


class Answer(list[Event]):
    """The events of one stream, in order, with the questions tests ask of them."""

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]

    @property
    def text(self) -> str:
        return "".join(event.data["content"] for event in self if event.name == "message")

    @property
    def reasoning(self) -> str:
        return "".join(event.data["content"] for event in self if event.name == "reasoning")

    @property
    def session(self) -> dict[str, Any]:
        return self._only("session")

    @property
    def done(self) -> dict[str, Any]:
        return self._only("done")

    @property
    def error(self) -> dict[str, Any]:
        return self._only("error")

    def _only(self, name: str) -> dict[str, Any]:
        found = [event.data for event in self if event.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} {name} events among {self.names}: {self[-1:]}")
        return found[0]
