"""Servers that somebody adds beside the known providers: `custom:<slug>`, with a name and a protocol.

Pure: what makes an id, a name and a `ProviderSpec`. Where they are stored is in `models`.
"""

import re
import unicodedata

from .specs import ProviderSpec

PREFIX = "custom:"
# "new" is the address of the page's form for one that does not exist yet.
RESERVED = frozenset({"new"})
MAX_SLUG_CHARS = 40
MAX_NAME_CHARS = 80
MOST_SERVERS = 50
# What a server may speak, in words for people. All of these take any base URL.
PROTOCOLS = {
    "openai": "OpenAI (chat completions)",
    "responses": "OpenAI (responses)",
    "anthropic": "Anthropic",
    "ollama": "Ollama",
    "gemini": "Google Gemini",
}
DEFAULT_PROTOCOL = "openai"

_SLUG = rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_SLUG_CHARS - 2}}}[a-z0-9])?"
_SERVER_ID = re.compile(rf"{PREFIX}{_SLUG}", re.ASCII)
# The same for descriptions of the API.
ID_PATTERN = rf"{PREFIX}{_SLUG}"

# They join and part letters and pictures of emoji; all other invisible characters are dropped.
_JOINERS = "\u200c\u200d"


def is_server(provider_id: str) -> bool:
    """Tell whether this is the id of a server that somebody could have added."""
    return _SERVER_ID.fullmatch(provider_id) is not None


def slug_of(provider_id: str) -> str:
    return provider_id.removeprefix(PREFIX)


def slug_from(name: str) -> str:
    """Return a slug for a name; "server" where the name has no letter that a slug can have."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: MAX_SLUG_CHARS - 4].strip("-")
    return slug if slug and slug not in RESERVED else "server"


def free_id(name: str, taken: set[str]) -> str:
    """Return an id for a new server of this name that is not among those taken."""
    slug = slug_from(name)
    numbered = (f"{PREFIX}{slug}-{number}" for number in range(2, MOST_SERVERS + 3))
    return next(id_ for id_ in (f"{PREFIX}{slug}", *numbered) if id_ not in taken)


def cleaned_name(text: str) -> str:
    """Return a name on one line, without characters that show nothing or turn the text around them."""
    spaced = "".join(" " if char.isspace() else char for char in unicodedata.normalize("NFC", text))
    shown = (char for char in spaced if char in _JOINERS or unicodedata.category(char)[0] != "C")
    name = " ".join("".join(shown).split())
    return name if any(unicodedata.category(char)[0] in "LNPS" for char in name) else ""


def spec_of_server(provider_id: str, *, name: str, protocol: str, personal: bool) -> ProviderSpec:
    """Return a stored server as a provider."""
    return ProviderSpec(
        id=provider_id,
        name=name or slug_of(provider_id),
        protocol=protocol or DEFAULT_PROTOCOL,
        requires_key=False,
        personal=personal,
    )
