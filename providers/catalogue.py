"""What is known of models: how much they read and write, and what that costs.

The facts are in `catalogue.json`, which `scripts/catalogue.py` makes and which
names its sources and its date. Pure: no Django, no network. What staff say
instead is in `entries`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FILE = Path(__file__).with_name("catalogue.json")

# The release of a model that the catalogue knows: its date, or "latest".
_RELEASE = re.compile(r"[-@:](?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
# No name is longer, whatever a provider calls its models.
MAX_NAME_CHARS = 200
# What OpenRouter puts behind a name chooses how it is served, not which model it is.
_VARIANT = re.compile(r":[\w-]+$")

# The same models at the same prices.
_SAME = {"openai-responses": "openai", "moonshot-intl": "moonshot", "minimax-intl": "minimax"}
# The same models, but who serves them sets the price.
_HOSTED = {"azure": "openai", "qwen-intl": "qwen"}
# Whose models OpenRouter means by the first part of a name.
_VENDORS = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "google": "gemini",
    "minimax": "minimax",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "openai": "openai",
    "qwen": "qwen",
    "x-ai": "xai",
    "z-ai": "zhipu",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """The facts about one model, in tokens and US dollars per million of them; `None` is not known."""

    context_window: int | None = None
    max_output_tokens: int | None = None
    input_price: Decimal | None = None
    cached_price: Decimal | None = None
    output_price: Decimal | None = None
    # The first day on which its provider may no longer serve it.
    retires: date | None = None

    def over(self, other: "Entry | None") -> "Entry":
        """Return this, with what it leaves open taken from another."""
        if other is None:
            return self
        return Entry(*(b if a is None else a for a, b in zip(astuple(self), astuple(other), strict=True)))


Entries = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Catalogue:
    date: str
    # Names and versions, for people.
    source: str
    entries: Mapping[str, Entries]


@cache
def shipped() -> Catalogue:
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> Catalogue:
    data = json.loads(text, parse_float=Decimal)
    sources = [" ".join(filter(None, (each["name"], each.get("version")))) for each in data["sources"]]
    entries = {
        provider: {name: _entry(values) for name, values in models.items()}
        for provider, models in data["providers"].items()
    }
    return Catalogue(data["date"], ", ".join(sources), entries)


def _entry(values: list[Any]) -> Entry:
    window, most, *prices = values[:5]
    retires = date.fromisoformat(values[5]) if len(values) > 5 and values[5] else None
    given, cached, made = (None if price is None else Decimal(price) for price in (*prices, *[None] * 3)[:3])
    return Entry(window, most, given, cached, made, retires)


def find(entries: Mapping[str, T], model: str) -> T | None:
    """Return the entry for a model's id, however it is capitalised.

    A name is an id or, where it ends in `*`, the beginning of ids. The id itself
    comes first, then the model of which it is a release, then the longest
    beginning.
    """
    id_ = model.lower()
    if (entry := entries.get(id_)) is not None:
        return entry
    if (entry := entries.get(_RELEASE.sub("", id_))) is not None:
        return entry
    return next((entries[name] for name in _beginnings(id_) if name in entries), None)


def _beginnings(id_: str) -> Iterable[str]:
    """Give every beginning of an id, the longest first, as the catalogue would name it."""
    return (f"{id_[:length]}*" for length in range(min(len(id_), MAX_NAME_CHARS - 1), -1, -1))


def look_up(provider: str, model: str, entries: Mapping[str, Entries] | None = None) -> Entry | None:
    """Return what the shipped catalogue, or another, says of a provider's model.

    Of a model that somebody else serves, all that its maker says holds, but for
    the prices.
    """
    known = shipped().entries if entries is None else entries
    if provider == "openrouter":
        return _routed(known, model.lower())
    if provider in _HOSTED:
        return _unpriced(find(known.get(_HOSTED[provider], {}), model))
    return find(known.get(_SAME.get(provider, provider), {}), model)


def _routed(known: Mapping[str, Entries], model: str) -> Entry | None:
    listed = known.get("openrouter", {})
    plain = _VARIANT.sub("", model)
    own = find(listed, model) or _unpriced(find(listed, plain))
    vendor, _, name = plain.partition("/")
    makers = known.get(_VENDORS.get(vendor, ""), {})
    # Anthropic itself writes versions with a dash.
    made = _unpriced(find(makers, name) or find(makers, name.replace(".", "-")))
    return own.over(made) if own else made


def _unpriced(entry: Entry | None) -> Entry | None:
    """Return what holds wherever the model is served: not its price, and not until when."""
    return Entry(entry.context_window, entry.max_output_tokens) if entry else None
