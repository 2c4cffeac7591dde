"""Fields that somebody adds to every request's body, for what a model wants and no setting says. Pure."""

import json
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 4000
MAX_DEPTH = 8

# What the service itself says, in any protocol. It would win; refused, nobody wonders why nothing changes.
RESERVED = frozenset(
    {
        "contents",
        "input",
        "instructions",
        "messages",
        "model",
        "prompt",
        "store",
        "stream",
        "stream_options",
        "system",
        "systemInstruction",
        "system_instruction",
    }
)


def fits(fields: Any) -> bool:
    """Tell whether these are fields that a body can have: an object, small, and not deep."""
    if not isinstance(fields, dict) or not _shallow(fields, MAX_DEPTH):
        return False
    try:
        return len(json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()) <= MAX_BYTES
    except (ValueError, TypeError):  # not a number, or a lone surrogate
        return False


def _shallow(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_shallow(one, depth - 1) for one in inner)


def merged(added: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the fields added to it, in objects too. The body's own values win."""
    result = dict(added)
    for name, value in body.items():
        other = result.get(name)
        both = isinstance(other, dict) and isinstance(value, dict)
        result[name] = merged(other, value) if both else value  # type: ignore[arg-type]  # both are objects
    return result
