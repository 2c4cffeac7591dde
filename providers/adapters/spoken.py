"""What a model says, as the servers of open models send it: thoughts beside the text or inside it."""

from ..base import ReasoningDelta, StreamPart, TextDelta
from ..text import TextCleaner
from .think import MARK, ThinkTags


class Spoken:
    """The text and the thoughts of one answer, cleaned and told apart."""

    __slots__ = ("_tags", "_text", "_thought", "spoke", "thinks")

    def __init__(self) -> None:
        self._text = TextCleaner()
        self._thought = TextCleaner()
        self._tags = ThinkTags()
        self.spoke = False
        self.thinks = False

    @property
    def text_only(self) -> bool:
        """Whether a text without `mark` would be passed on as it is."""
        return self.spoke and self._tags.passes and not self._text.holds

    @property
    def mark(self) -> str:
        """A character that may begin a tag, or "" where none is looked for."""
        return MARK if self._tags.watches else ""

    @property
    def asks(self) -> bool:
        return self._tags.asks

    @property
    def calls_tool(self) -> bool:
        return self._tags.calls_tool

    def think(self, text: str, parts: list[StreamPart]) -> None:
        """Take thoughts that have a field of their own."""
        if not self.thinks:
            self.thinks = True
            self._tags.stop()
        if text := self._thought.feed(text):
            parts.append(ReasoningDelta(text))

    def say(self, text: str, parts: list[StreamPart]) -> None:
        self.spoke = True
        text = self._text.feed(text)
        tags = self._tags
        if tags.passes and not (tags.watches and MARK in text):
            if text:
                parts.append(TextDelta(text))
        else:
            parts += tags.feed(text)

    def judge(self, before: str) -> list[StreamPart]:
        return self._tags.judge(before)

    def rest(self) -> list[StreamPart]:
        """Return what was held back."""
        parts: list[StreamPart] = []
        if thought := self._thought.end():
            parts.append(ReasoningDelta(thought))
        return [*parts, *self._tags.feed(self._text.end()), *self._tags.end()]
