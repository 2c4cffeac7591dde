"""When two usernames are the same: `Alice`, `ALICE` and a full-width `ａｌｉｃｅ` are one person."""

import unicodedata


def normalise(username: str) -> str:
    """Return the username as it is stored and shown."""
    return unicodedata.normalize("NFKC", username).strip()


def fold(username: str) -> str:
    """Return what must be unique. Databases disagree about lower case, so they are not asked."""
    return unicodedata.normalize("NFKC", normalise(username).casefold())
