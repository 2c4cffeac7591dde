"""When two usernames are the same: `Alice`, `ALICE` and a full-width `ａｌｉｃｅ` are one person."""

import unicodedata


def normalise(username: str) -> str:
    """Return the username as it is stored and shown."""
    return unicodedata.normalize("NFKC", username).strip()


def fold(username: str) -> str:
    """Return what must be unique; databases differ in what they think lower case is, so they are not asked."""
    return unicodedata.normalize("NFKC", normalise(username).casefold())
