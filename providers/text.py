"""Text and JSON as providers really send them, made safe to store and to send."""

import json
import re
from typing import Any

import orjson

_REPLACEMENT = "\ufffd"
# PostgreSQL stores neither, and UTF-8 cannot write a lone surrogate.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# What a parser makes of a few megabytes of "{}," holds up everybody for seconds, and fills
# hundreds of megabytes. No answer and no list of models has a hundredth of these.
MAX_CONTAINERS = 100_000
# Some servers leave out the empty line between events: so many of them may come as one.
MAX_LINES = 4096


def clean_text(text: str) -> str:
    """Return the text with every NUL and lone surrogate replaced by U+FFFD.

    Two surrogates that belong together become the character they stand for.
    """
    if text.isascii():
        return text.replace("\0", _REPLACEMENT) if "\0" in text else text
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(_REPLACEMENT, _PAIR.sub(_join_pair, text))


def shown_name(name: str) -> str:
    """Return a name that a client made up as an error can repeat it: short, on one line, left to right."""
    return "".join(char if char.isprintable() else _REPLACEMENT for char in clean_text(name[:100]))


def _join_pair(match: re.Match[str]) -> str:
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16")


class TextCleaner:
    """`clean_text` for a text that comes in pieces.

    A server that counts in UTF-16 may cut a character in two: the first half
    is held back until the second comes.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def feed(self, piece: str) -> str:
        if not self._held and piece.isascii() and "\0" not in piece:
            return piece
        text = self._held + piece
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return clean_text(text)

    def end(self) -> str:
        held, self._held = self._held, ""
        return clean_text(held)


def load_json(data: bytes) -> Any:
    """Parse JSON, also where it holds what strict parsers refuse.

    Raises `ValueError`, also for what is made to cost much rather than to say something.
    Lone surrogates come through as such: clean the text.
    """
    _check_size(data)
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except RecursionError as exc:
        raise ValueError("too deeply nested") from exc


def load_lines(data: bytes) -> list[Any]:
    """Parse JSON objects, one a line; OpenAI's end marker among them gives `None`. Raises `ValueError`."""
    _check_size(data)
    if data.count(b"\n") > MAX_LINES:
        raise ValueError("too many lines")
    lines = [line for line in map(bytes.strip, data.split(b"\n")) if line]
    # Looked at first: trying to parse each would cost more than all that is sound.
    if not all(line[:1] == b"{" or line == b"[DONE]" for line in lines):
        raise ValueError("not one object a line")
    return [None if line == b"[DONE]" else load_json(line) for line in lines]


def is_costly(data: bytes) -> bool:
    """Whether JSON is made to cost much rather than to say something."""
    return len(data) > MAX_CONTAINERS and data.count(b"{") + data.count(b"[") > MAX_CONTAINERS


def _check_size(data: bytes) -> None:
    if is_costly(data):
        raise ValueError("too many objects and lists")
