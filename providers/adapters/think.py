"""Reasoning that a server left inside the text: `<think>…</think>` before the answer."""

from ..base import ReasoningDelta, StreamPart, TextDelta

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkTags:
    """Tells a leading `<think>` block from the text behind it, cut wherever the pieces are cut.

    Only at the very start of an answer: further on, somebody is writing about
    the tag. The white space next to the tags belongs to them.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    @property
    def passed(self) -> bool:
        """Whether all that may still come is text, so that `feed` can be left out."""
        return self._state == "text"

    def feed(self, piece: str) -> list[StreamPart]:
        if self._state == "text":
            return [TextDelta(piece)] if piece else []
        held = self._held + piece
        self._held = ""
        if self._state == "start":
            return self._start(held)
        if self._state == "thinking":
            return self._thinking(held)
        return self._gap(held)

    def end(self) -> list[StreamPart]:
        held, self._held = self._held, ""
        if self._state == "start" and held:
            return [TextDelta(held)]
        if self._state == "thinking" and held.strip():
            return [ReasoningDelta(held)]
        return []

    def _start(self, text: str) -> list[StreamPart]:
        head = text.lstrip()
        if head.startswith(_OPEN):
            self._state = "thinking"
            return self._thinking(head[len(_OPEN) :].lstrip())
        if _OPEN.startswith(head):
            self._held = text
            return []
        self._state = "text"
        return [TextDelta(text)]

    def _thinking(self, text: str) -> list[StreamPart]:
        thought, found, rest = text.partition(_CLOSE)
        if found:
            self._state = "gap"
            thought = thought.rstrip()
            return ([ReasoningDelta(thought)] if thought else []) + self._gap(rest)
        sure = len(text) - _tail(text)
        self._held = text[sure:]
        return [ReasoningDelta(text[:sure])] if sure else []

    def _gap(self, text: str) -> list[StreamPart]:
        text = text.lstrip()
        if not text:
            return []
        self._state = "text"
        return [TextDelta(text)]


def _tail(text: str) -> int:
    """Return how much of the end may be the closing tag's beginning, or white space before it."""
    cut = text.rfind("<", -len(_CLOSE))
    end = cut if cut >= 0 and _CLOSE.startswith(text[cut:]) else len(text)
    return len(text) - len(text[:end].rstrip())
