"""Single fields of a provider's events, as servers really write them."""

from typing import Any

from ..base import ServedBy, StreamPart

# A string of more is no number of tokens.
_MOST_DIGITS = 24


def number(value: Any) -> int | None:
    """Return a number of tokens; some servers write it as a float or as a string."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    try:
        if isinstance(value, str) and len(value) <= _MOST_DIGITS:
            value = float(value)
        return int(value) if isinstance(value, float) and value.is_integer() else None
    except (ValueError, OverflowError):
        return None


# Where several answers were made, the number of the one that was asked for; it may be left out.
_FIRST = (None, 0, "0", "")


def is_first(choice: dict[str, Any]) -> bool:
    """Whether a choice belongs to the first answer, which is the only one that anybody asked for."""
    return choice.get("index") in _FIRST


def served_by(name: Any, before: str, parts: list[StreamPart]) -> str:
    """Add the name of the answering model to the parts when it first occurs; return the name."""
    if before or not isinstance(name, str) or not name:
        return before
    parts.append(ServedBy(name.strip()))
    return name
