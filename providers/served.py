"""The name that a provider gives the model that answers: whether it may be kept, and names another model."""

import re
from collections.abc import Iterable

from .redaction import redact_for_person

# Characters of a model's id; relays also use blanks and Chinese characters.
_NAME = re.compile(r"[A-Za-z0-9._:/@+\-\u3400-\u4dbf\u4e00-\u9fff ]{1,200}")
# The release of a model: its date in any of the usual forms, a version of three digits, or `latest`.
_RELEASE = re.compile(
    r"[-@:_](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{6}|\d{4}|\d{3}|latest)(?:-v\d+(?::\d+)?)?$"
)
# OpenRouter's ways to choose a host; Ollama's name for what has no tag.
_ROUTE = re.compile(r":(?:latest|nitro|floor|online|exacto)$")
_FILE = re.compile(r"\.gguf$")


def is_fit(name: str, secrets: Iterable[str]) -> bool:
    """Whether a name looks like a model's id, and holds nothing that looks like a secret.

    A name that is not fit is dropped: a part of it could still be a part of a key.
    """
    return _NAME.fullmatch(name) is not None and redact_for_person(name, secrets) == name


def another(asked: str, named: str) -> str:
    """Return the name of the model that answered if that is another one than was asked, else ""."""
    if not named or named == asked or _plain(named) == _plain(asked):
        return ""
    return named


def _plain(name: str) -> str:
    """Return a name without its provider, its path and its release."""
    name = re.split(r"[/\\]", name.strip().lower())[-1]
    name = _FILE.sub("", _ROUTE.sub("", name))
    return _RELEASE.sub("", name)
