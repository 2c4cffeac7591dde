"""Reasoning that a server left inside the text: `<think>…</think>` before the answer."""

from ..base import ReasoningDelta, StreamPart, TextDelta

_OPEN = "<think>"
_CLOSE = "</think>"
# So much white space is held back at most: each piece looks through all of it again.
_MAX_BLANK = 1000


class ThinkTags:
    """Tells a leading `<think>` block from the text behind it, wherever the pieces are cut.

    Only at the very start of an answer: further on, somebody is writing about
    the tag. The white space next to the tags goes with them.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        # start, opened (after the tag), thinking, closed (after the other one), text
        self._state = "start"
        self._held = ""

    @property
    def passed(self) -> bool:
        """Whether all that may still come is text, so that `feed` can be left out."""
        return self._state == "text" and not self._held

    def stop(self) -> None:
        """Take all that comes, and what is held back, as it is."""
        self._state = "text"

    def feed(self, piece: str) -> list[StreamPart]:
        text = self._held + piece
        self._held = ""
        parts: list[StreamPart] = []
        if self._state == "start":
            head = text.lstrip()
            if head.startswith(_OPEN):
                self._state, text = "opened", head[len(_OPEN) :]
            elif _OPEN.startswith(head) and len(text) < _MAX_BLANK:
                self._held = text
                return parts
            else:
                self._state = "text"
        if self._state == "opened" and (text := text.lstrip()):
            self._state = "thinking"
        if self._state == "thinking":
            thought, found, text = text.partition(_CLOSE)
            if found:
                self._state = "closed"
                thought = thought.rstrip()
            else:
                sure = len(thought) - _undecided(thought)
                thought, self._held = thought[:sure], thought[sure:]
            if thought:
                parts.append(ReasoningDelta(thought))
        if self._state == "closed" and (text := text.lstrip()):
            self._state = "text"
        if self._state == "text" and text:
            parts.append(TextDelta(text))
        return parts

    def end(self) -> list[StreamPart]:
        held, self._held = self._held, ""
        if self._state == "thinking":
            return [ReasoningDelta(held)] if held.strip() else []
        return [TextDelta(held)] if held else []


def _undecided(text: str) -> int:
    """Return how much of the end may begin the closing tag, or be the white space before it."""
    cut = text.rfind("<", max(0, len(text) - len(_CLOSE) + 1))
    end = cut if cut >= 0 and _CLOSE.startswith(text[cut:]) else len(text)
    tail = text[max(0, end - _MAX_BLANK) : end]
    return len(text) - end + len(tail) - len(tail.rstrip())
