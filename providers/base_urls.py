"""Base URLs as people copy them: from an address bar, or a whole call from a vendor's page.

Pure: text in, text out. Whether an address may be connected to is decided in `addresses`.
"""

import re

# What Gemini's own examples have behind the call.
_ALT = re.compile(r"(:(?:streamG|g)enerateContent)\?alt=(?:sse|json)\Z")

_OPENAI = re.compile(r"/(?:chat/completions|responses)\Z|(?<=/v\d)/(?:completions|embeddings|models)\Z")
# The paths of each protocol's calls, as its adapter puts them behind the base URL.
_CALLS = {
    "openai": _OPENAI,
    "responses": _OPENAI,
    "anthropic": re.compile(r"(?:/v1)?/(?:messages(?:/count_tokens)?|complete)\Z|/v1/models\Z"),
    "gemini": re.compile(r"/models(?:/[^/]*)?\Z|/openai(?:/chat/completions)?\Z"),
    "ollama": re.compile(r"/api/(?:chat|generate|tags|show|ps|version)\Z|/v1/(?:chat/completions|models)\Z"),
}


def without_alt(url: str) -> str:
    """Drop the `?alt=sse` of a copied Gemini call, the one query that says nothing of its own."""
    return _ALT.sub(r"\1", url)


def without_call(protocol: str, url: str) -> str:
    """Return the base URL that a whole endpoint of this protocol begins with.

    Azure's addresses stay as they are: the adapter reads the deployment and the version from them.
    """
    calls = _CALLS.get(protocol)
    return calls.sub("", url).rstrip("/") if calls else url
