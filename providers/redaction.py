"""Take keys out of a provider's words before anybody else reads them."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from unicodedata import normalize

from .errors import ProviderError
from .text import clean_text

_MAX_DETAIL = 500
# How much of a provider's words is looked at.
MAX_WORDS = 8 * _MAX_DETAIL

_ECHOED = re.compile(r"(\b(?:api.?key|bearer)\b[^:=]{0,20}[:=]?\s+)(?=\S*[\d_-])\S{8,}", re.I)
_KEY_SHAPED = re.compile(r"\b(?:sk|pk|rk|gsk|xai|AIza|hf|nvapi|Bearer)[-_ ]?[A-Za-z0-9_\-.]{8,}")
# One character, in whichever way it was written: in a URL, in JSON, in HTML, or as it is.
_WRITTEN = re.compile(
    r"%(?P<url>[0-9a-f]{2})|(?-i:\\U)(?P<long>[0-9a-f]{8})|\\u(?P<json>[0-9a-f]{4})|\\x(?P<hex>[0-9a-f]{2})"
    r"|&\#x(?P<entity>[0-9a-f]{1,5});|&\#(?P<number>\d{1,6});|\\(?P<octal>[0-3][0-7]{2})|\\(?P<escaped>[\\/\"'])|.",
    re.I | re.S | re.ASCII,
)
_BASES = {"url": 16, "json": 16, "hex": 16, "long": 16, "entity": 16, "number": 10, "octal": 8}
# Something shorter is no key, and would be found in every other word.
_SHORTEST_KEY = 6
# So much of a key in one piece is taken for a part of it.
_PIECE_OF_KEY = 8


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text fit for a log: one line, bounded, and nothing in it that looks like a key.

    Of the secrets not even a part is left, however it is written.
    """
    secrets = tuple(secrets)
    # First of all what cannot be printed goes: it could stand between the halves of a key.
    text = " ".join(clean_text(text[:MAX_WORDS]).split())
    text = "".join(character for character in text if character.isprintable())
    for secret in secrets:
        text = _without(text, secret)
    text = " ".join("***" if "***" in word else word for word in text.split(" "))
    for pattern, with_ in ((_ECHOED, r"\1***"), (_KEY_SHAPED, "***")):
        text = pattern.sub(with_, text)
    text = text[:_MAX_DETAIL]
    for secret in secrets:
        text = _without_beginning(text, secret)
    return text


def seal(fault: ProviderError, secrets: Iterable[str]) -> None:
    """Take out of a fault's detail what a log must not show, wherever the detail came from."""
    fault.detail = redact(fault.detail, secrets)
    fault.args = (fault.detail,)


def _without(text: str, secret: str) -> str:
    if len(secret) < _SHORTEST_KEY:
        return text
    text = text.replace(secret, "***")
    plain, places = _as_meant(text)
    kept: list[str] = []
    end = 0
    for start, stop in sorted(_found(plain, places, _forms(secret))):
        if start >= end:
            kept += (text[end:start], "***")
        end = max(end, stop)
    return "".join(kept) + text[end:]


def _found(plain: str, places: list[tuple[int, int]], forms: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield where in the text a piece of one of the forms stands."""
    for form in forms:
        length = min(len(form), _PIECE_OF_KEY)
        if length < _SHORTEST_KEY:
            continue
        pieces = {form[i : i + length] for i in range(len(form) - length + 1)}
        for i in range(len(plain) - length + 1):
            if plain[i : i + length] in pieces:
                yield places[i][0], places[i + length - 1][1]


def _forms(secret: str) -> set[str]:
    """Return what is left of a secret, in each way it may be repeated, by what `_as_meant` keeps."""
    plain = "".join(map(_kept, secret))
    encoded = secret.encode("utf-8", "replace")
    # Inside something longer it may begin at any of three places; its last characters depend on what follows.
    in_base64 = [b64encode(encoded[start:]).rstrip(b"=").decode()[:-2] for start in range(3)]
    return {
        plain,
        plain[::-1],
        # As it would be read if what looks like an escape in it were one.
        _as_meant(secret)[0],
        encoded.hex(),
        *("".join(map(_kept, form)) for form in in_base64),
    }


def _without_beginning(text: str, secret: str) -> str:
    """Return the text without the first characters of a secret that was cut off at its end."""
    if len(secret) < _SHORTEST_KEY:
        return text
    for length in range(_PIECE_OF_KEY - 1, 2, -1):
        if text[-length:].lower() == secret[:length].lower():
            return text[:-length] + "***"
    return text


def _as_meant(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the letters and digits in a text, however they are written, and where each stood."""
    plain: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _WRITTEN.finditer(text):
        found = match.lastgroup or "plain"
        written = match[found if found != "plain" else 0]
        base = _BASES.get(found)
        code = ord(written) if base is None else int(written, base)
        for character in _kept(chr(code)) if code <= 0x10FFFF else "":
            plain.append(character)
            places.append(match.span())
    return "".join(plain), places


def _kept(character: str) -> str:
    """Return what is compared of a character: a plain letter or digit, in lower case, or nothing."""
    if not character.isascii():
        # Full-width, in a circle, or with an accent.
        return "".join(map(_kept, filter(str.isascii, normalize("NFKD", character))))
    return character.lower() if character.isalnum() else ""
