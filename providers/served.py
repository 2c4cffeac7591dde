"""Whether the model that a provider names is the one that was asked, under a longer or a shorter name."""

import re

MAX_CHARS = 200
# The release of a model: its date in any of the usual forms, a version of three digits, or `latest`.
_RELEASE = re.compile(
    r"[-@:_](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{6}|\d{4}|\d{3}|latest)(?:-v\d+(?::\d+)?)?$"
)
# OpenRouter's ways to choose a host; Ollama's name for what has no tag.
_ROUTE = re.compile(r":(?:latest|nitro|floor|online|exacto)$")
_FILE = re.compile(r"\.gguf$")


def another(asked: str, named: str) -> str:
    """Return the name of the model that answered if that is another one than was asked, else ""."""
    named = named.strip()[:MAX_CHARS]
    if not named or _plain(named) == _plain(asked):
        return ""
    return named


def _plain(name: str) -> str:
    """Return a name without its provider, its path and its release."""
    name = re.split(r"[/\\]", name.strip().lower())[-1]
    name = _FILE.sub("", _ROUTE.sub("", name))
    return _RELEASE.sub("", name)
