"""The channels of gpt-oss, where a server did not take them apart: analysis, commentary and final.

https://cookbook.openai.com/articles/openai-harmony
"""

import re

from ..base import ReasoningDelta, StreamPart, TextDelta

# What such an answer begins with.
BEGINNINGS = ("<|channel|>", "<|start|>")
_TOKEN = re.compile(r"<\|(start|channel|message|constrain|end|return|call)\|>")
_LONGEST_TOKEN = len("<|constrain|>")
# What stands between the tokens of a head is some words.
_MAX_HEAD = 200
_BETWEEN_MESSAGES = "\n\n"


class Channels:
    """Feed it the text in pieces; what is final is text, what is said to a tool is left out."""

    __slots__ = ("_body", "_channel", "_head", "_held", "_in_channel", "_thought", "calls_tool")

    def __init__(self) -> None:
        self._held = ""
        # What the message's body is: "text", "reasoning", or "" for what is not shown; None within a head.
        self._body: str | None = None
        self._head = self._channel = ""
        self._in_channel = False
        self._thought = False
        self.calls_tool = False

    def feed(self, piece: str) -> list[StreamPart]:
        text, self._held = self._held + piece, ""
        parts: list[StreamPart] = []
        at = 0
        for token in _TOKEN.finditer(text):
            self._words(text[at : token.start()], parts)
            self._token(token[1], parts)
            at = token.end()
        rest = text[at:]
        cut = rest.rfind("<", max(0, len(rest) - _LONGEST_TOKEN + 1))
        if cut >= 0 and re.fullmatch(r"<(\|[a-z]*\|?)?", rest[cut:]):
            rest, self._held = rest[:cut], rest[cut:]
        self._words(rest, parts)
        return parts

    def end(self) -> list[StreamPart]:
        parts: list[StreamPart] = []
        held, self._held = self._held, ""
        self._words(held, parts)
        return parts

    def _words(self, text: str, parts: list[StreamPart]) -> None:
        if not text:
            return
        if self._body is None:
            self._head = (self._head + text)[:_MAX_HEAD]
            if self._in_channel:
                self._channel = (self._channel + text)[:_MAX_HEAD]
        elif self._body == "text":
            parts.append(TextDelta(text))
        elif self._body == "reasoning":
            self._thought = True
            parts.append(ReasoningDelta(text))

    def _token(self, name: str, parts: list[StreamPart]) -> None:
        if name == "message":
            self._begin(parts)
        elif name == "channel":
            self._body, self._channel, self._in_channel = None, "", True
        elif name == "constrain":
            self._in_channel = False
        else:
            self._body, self._head, self._channel, self._in_channel = None, "", "", False

    def _begin(self, parts: list[StreamPart]) -> None:
        if " to=" in f" {self._head}":
            self._body, self.calls_tool = "", True
        elif self._channel.split()[:1] in ([], ["final"]):
            self._body = "text"
        else:
            self._body = "reasoning"
            if self._thought:
                parts.append(ReasoningDelta(_BETWEEN_MESSAGES))
        self._in_channel = False
