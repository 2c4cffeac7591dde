"""Statements that PostgreSQL keeps for each connection, so that they are read and planned only once.

To plan a short statement costs the server as much as to run it. They are called in SQL, and not by the
driver's messages for them, because only so can several be sent at once without a pipeline.
"""

import itertools
import re
from dataclasses import dataclass

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Kept:
    """What makes the server keep a statement, and what calls it, with a placeholder for each value."""

    definition: str
    call: str


def keep(sql: str) -> Kept:
    """Return how a statement with placeholders is kept; the driver writes each value into the call."""
    name = f"kept_{next(_numbers)}"
    count = 0

    def numbered(placeholder: re.Match[str]) -> str:
        nonlocal count
        if placeholder[0] == "%%":
            return "%"
        count += 1
        return f"${count}"

    definition = f"PREPARE {name} AS {re.sub('%[%s]', numbered, sql)}"
    values = f"({', '.join(['%s'] * count)})" if count else ""
    return Kept(definition, f"EXECUTE {name}{values}")
