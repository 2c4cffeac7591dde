"""Reasoning that a server left inside the text: `<think>…</think>` before the answer, however it is spelt."""

import re

from ..base import ReasoningDelta, ReasoningEnd, StreamPart, TextDelta
from . import harmony

_PAIRS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
_OPENING = tuple(_PAIRS)
_CLOSING = tuple(_PAIRS.values())
# Further on in a text only these are looked for, and they begin with this.
MARK = "<"
_TAG = re.compile(r"<(/?)(?:think|thinking|thought|seed:think)>")
_TAGS = tuple(tag for tag in _OPENING + _CLOSING if tag.startswith(MARK))
_LONGEST_TAG = max(map(len, _TAGS))
# So much white space is held back at most: each piece looks through all of it again.
_MAX_BLANK = 1000
# Each closing tag that has no opening one has the whole text before it looked at.
_MOST_JUDGED = 8
_BETWEEN_BLOCKS = "\n\n"

_FENCE = re.compile(r" {0,3}(```|~~~)")
_LIST_MARK = re.compile(r"\s*\d+[.)]\s*")
_SENTENCE_END = ".!?…。！？"


class ThinkTags:
    """Tells the blocks of reasoning at the start of an answer from the text behind them, however it is cut.

    An opening tag counts only at the start: further on, the text is about the tag. A closing tag may come
    without an opening one, because some templates write that one into the prompt. Then all text before it
    was reasoning. Only the whole text tells whether that is so: where `asks`, it is for `judge`.
    The white space next to the tags goes with them.
    """

    __slots__ = ("_channels", "_closing", "_held", "_judged", "_over", "_state", "_thought", "_watches")

    def __init__(self) -> None:
        # start, field (behind reasoning that has a field of its own), opened (behind the opening tag),
        # thinking, closed (behind the closing tag), text, asking (behind a closing tag in the text), channels
        self._state = "start"
        self._held = ""
        self._closing = ""
        self._thought = False
        self._watches = True
        self._judged = 0
        self._over = False
        self._channels = harmony.Channels()

    @property
    def passes(self) -> bool:
        """Whether a text without `MARK` would be passed on as it is."""
        return self._state == "text" and not self._held

    @property
    def watches(self) -> bool:
        """Whether a text with `MARK` has to be looked at."""
        return self._watches

    @property
    def asks(self) -> bool:
        return self._state == "asking" and (self._over or len(self._held) > len(self._closing))

    @property
    def calls_tool(self) -> bool:
        return self._channels.calls_tool

    def stop(self) -> None:
        """Reasoning comes in a field of its own: tags are text, but for a closing one right behind it."""
        self._watches = False
        if self._state == "start" and not self._held.strip():
            self._state = "field"
        elif self._state != "field":
            self._state = "text"

    def feed(self, piece: str) -> list[StreamPart]:
        text = self._held + piece
        self._held = ""
        parts: list[StreamPart] = []
        if self._state in ("start", "field"):
            text = self._start(text)
        # A block may follow another.
        while text and self._state in ("opened", "thinking", "closed"):
            text = self._block(text, parts)
        if self._state == "channels" and text:
            parts += self._channels.feed(text)
        elif self._state == "asking":
            self._held = text
        elif self._state == "text" and text:
            self._text(text, parts)
        return parts

    def judge(self, before: str) -> list[StreamPart]:
        """Go on behind the closing tag, once it is known what was said before it."""
        tag, rest = self._closing, self._held.removeprefix(self._closing)
        self._held = ""
        if ends_reasoning(before, rest):
            self._state, self._thought, self._watches = "closed", True, False
            parts: list[StreamPart] = [ReasoningEnd()]
        else:
            self._judged += 1
            self._state, self._watches = "text", self._judged < _MOST_JUDGED
            parts = [TextDelta(tag)]
        parts += self.feed(rest)
        return parts + self.end() if self._over else parts

    def end(self) -> list[StreamPart]:
        """Return what was held back; a tag that has to be judged waits for that."""
        self._over = True
        if self._state == "asking":
            return []
        if self._state == "channels":
            return self._channels.end()
        held, self._held = self._held, ""
        if self._state == "thinking":
            return [ReasoningDelta(held)] if held.strip() else []
        return [TextDelta(held)] if held else []

    def _start(self, text: str) -> str:
        """Return what follows the tag at the start; hold the start back while it may become one."""
        tags = _CLOSING if self._state == "field" else (*_OPENING, *_CLOSING, *harmony.BEGINNINGS)
        head = text.lstrip()
        tag = _leading(head, tags)
        if tag == "" and len(text) < _MAX_BLANK:
            self._held = text
            return ""
        if not tag:
            self._state = "text"
            return text
        if tag in harmony.BEGINNINGS:
            self._state = "channels"
            return head
        self._open_or_close(tag)
        return head[len(tag) :]

    def _open_or_close(self, tag: str) -> None:
        self._state = "opened" if tag in _PAIRS else "closed"
        self._closing = _PAIRS.get(tag, "")
        self._watches = False

    def _block(self, text: str, parts: list[StreamPart]) -> str:
        """Take what belongs to a block of reasoning, and return what follows."""
        if self._state == "thinking":
            return self._think(text, parts)
        text = text.lstrip()
        if self._state == "opened":
            if not text:
                return ""
            self._state = "thinking"
            if self._thought and not text.startswith(self._closing):
                parts.append(ReasoningDelta(_BETWEEN_BLOCKS))
            return text
        tag = _leading(text, (*_OPENING, *_CLOSING))
        if tag == "":
            self._held = text
            return ""
        if tag is None:
            self._state = "text"
            return text
        self._open_or_close(tag)
        return text[len(tag) :]

    def _think(self, text: str, parts: list[StreamPart]) -> str:
        thought, found, rest = text.partition(self._closing)
        if found:
            self._state = "closed"
            thought = thought.rstrip()
        else:
            sure = len(thought) - _undecided(thought, self._closing)
            thought, self._held = thought[:sure], thought[sure:]
        if thought:
            self._thought = True
            parts.append(ReasoningDelta(thought))
        return rest

    def _text(self, text: str, parts: list[StreamPart]) -> None:
        if self._watches and MARK in text:
            tag = _TAG.search(text)
            if tag is None:
                text, self._held = _parted(text)
            elif tag[1]:
                self._state, self._closing, self._held = "asking", tag[0], text[tag.start() :]
                text = text[: tag.start()]
            else:
                # The text is about the tags.
                self._watches = False
        if text:
            parts.append(TextDelta(text))


def ends_reasoning(before: str, after: str) -> bool:
    """Whether a closing tag without an opening one ends reasoning; otherwise it is quoted.

    `after` is what follows it, so far as that is known; nothing where the answer ends there.
    """
    line = before.rpartition("\n")[2]
    if line.count("`") % 2 or sum(1 for each in before.split("\n") if _FENCE.match(each)) % 2:
        return False
    if not line.strip():
        return len(line.expandtabs(4)) < 4
    ends_line = after[:1] in ("", "\n", "\r")
    if line[-1].isspace():
        return ends_line and line.rstrip()[-1] in _SENTENCE_END and not _LIST_MARK.fullmatch(line)
    if ends_line or (line[-1] in _SENTENCE_END and (after[0].isalnum() or after[0].isspace())):
        return True
    # Nobody writes about the tag in the middle of a word.
    return line[-1].isascii() and line[-1].isalnum() and after[0].isascii() and after[0].isalnum()


def _leading(text: str, tags: tuple[str, ...]) -> str | None:
    """Return the tag that a text begins with, "" where it may yet become one, else `None`."""
    for tag in tags:
        if text.startswith(tag):
            return tag
    return "" if any(tag.startswith(text) for tag in tags) else None


def _undecided(text: str, tag: str) -> int:
    """Return how much of the end may begin the closing tag, or be the white space before it."""
    cut = text.rfind(tag[0], max(0, len(text) - len(tag) + 1))
    end = cut if cut >= 0 and tag.startswith(text[cut:]) else len(text)
    tail = text[max(0, end - _MAX_BLANK) : end]
    return len(text) - end + len(tail) - len(tail.rstrip())


def _parted(text: str) -> tuple[str, str]:
    """Return what is sure to be text, and what may begin a tag."""
    cut = text.rfind(MARK, max(0, len(text) - _LONGEST_TAG + 1))
    if cut < 0 or not any(tag.startswith(text[cut:]) for tag in _TAGS):
        return text, ""
    return text[:cut], text[cut:]
