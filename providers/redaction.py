"""Make a provider's words fit to be read: by the operator in a log, or by the person who asked.

What a provider sends is written by others: it may repeat the key, quote the request, describe a private
network, or hold markup and other people's secrets.
"""

import html
import ipaddress
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from unicodedata import normalize

from .errors import ProviderError
from .text import clean_text

_MAX_DETAIL = 500
_MAX_SHOWN = 300
_MAX_LOOKED_AT = 4 * _MAX_SHOWN
# How much of a provider's words is looked at.
MAX_WORDS = 8 * _MAX_DETAIL

_MASK = "***"
# The user and the password in an address; a password may hold an `@`.
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/]+@", re.I)
_ECHOED = re.compile(r"(\b(?:api.?key|bearer)\b[^:=]{0,20}[:=]?\s+)(?=\S*[\d_-])\S{8,}", re.I)
_KEY_SHAPED = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|AIza|hf|nvapi|Bearer)[-_ ]?[A-Za-z0-9_\-.]{8,}"
    r"|\b(?:gh[opsu]_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|ya29\.|r8_|pplx-|csk-|sess-|eyJ)[A-Za-z0-9_\-.]{8,}"
)
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
    return _cut(_masked(text, secrets, MAX_WORDS), secrets, _MAX_DETAIL)


def redact_for_person(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text fit to be shown to the person who asked: plain text, short, and nobody's secret.

    Beyond what `redact` leaves out, it has no markup, no credentials of any kind, no address inside a
    private network, and no account's name: a shared key is not the person's own.
    """
    secrets = tuple(secrets)
    text = _masked(plain_text(text), secrets, _MAX_LOOKED_AT)
    for pattern, with_ in _PRIVATE:
        text = pattern.sub(with_, text)
    text = _LONG_RUN.sub(_without_key, _IP_ADDRESS.sub(_without_private, text))
    return _cut(text, secrets, _MAX_SHOWN)


def _masked(text: str, secrets: tuple[str, ...], most: int) -> str:
    whole = len(text) <= most
    # First of all what cannot be printed goes: it could stand between the halves of a key.
    words = clean_text(text[:most]).split()
    # The last word may be the beginning of a key that nothing would recognise.
    text = " ".join(words if whole or len(words) < 2 else [*words[:-1], "…"])
    text = "".join(character for character in text if character.isprintable())
    for secret in secrets:
        text = _without(text, secret)
    text = " ".join(_MASK if _MASK in word else word for word in text.split(" "))
    for pattern, with_ in ((_USER_INFO, rf"\1{_MASK}@"), (_ECHOED, rf"\1{_MASK}"), (_KEY_SHAPED, _MASK)):
        text = pattern.sub(with_, text)
    return text


def _cut(text: str, secrets: tuple[str, ...], most: int) -> str:
    text = text[:most].rstrip()
    for secret in secrets:
        text = _without_beginning(text, secret)
    return text


def seal(fault: ProviderError, secrets: Iterable[str]) -> None:
    """Take out of a fault what nobody may read, wherever its words came from."""
    secrets = tuple(secrets)
    fault.detail = redact(fault.detail, secrets)
    fault.words = redact_for_person(fault.words, secrets)
    fault.args = (fault.detail,)


# --- for the person who asked

# `password: x`, `"api_key": "x"`, `?sig=x`; a small number behind such a name is a count.
_ASSIGNED = re.compile(
    r"(?P<name>(?:key|token|secret|password|passwd|pwd|signature|credentials?|auth|sig)"
    r"[\"']?\s?[:=]\s?[\"']?)(?!\d{1,7}\b)[^\s\"',;&<>()]{3,}",
    re.I,
)
_HEADER = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization[\"']?\s?[:=]\s?[\"']?)(?:(?:basic|bearer|token|digest)\s+)?[^\s\"',;]+"
    r"|(?P<cookie>\b(?:set-)?cookie[\"']?\s?[:=]\s?[\"']?)[^\"']+",
    re.I,
)
_PRIVATE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]{1,40}-----.*", re.S), _MASK),
    (_HEADER, rf"\g<name>\g<cookie>{_MASK}"),
    (_ASSIGNED, rf"\g<name>{_MASK}"),
    (re.compile(r"\b(?:basic|bearer|digest)\s+(?=\S*[\d=+/])[\w+/=.~-]{6,}", re.I), _MASK),
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), _MASK),
    (re.compile(r"\b(?:org|proj|user|acct|cus)[-_][A-Za-z0-9]{8,}"), _MASK),
    (
        re.compile(
            r"(?<![\w.-])(?:localhost|(?:[a-z0-9_-]{1,63}\.){1,8}(?:internal|intranet|local|localdomain|lan|corp|home|svc|arpa))"
            r"\b(?::\d{1,5})?(?![\w-])",
            re.I,
        ),
        _MASK,
    ),
    # A host of one label is one of a private network.
    (re.compile(r"(?P<scheme>\bhttps?://)[a-z0-9_-]{1,63}(?=[:/?#\s]|$)", re.I), rf"\g<scheme>{_MASK}"),
    (re.compile(r"(?<![\w.-])(?=[a-z0-9_-]*[a-z])[a-z0-9_-]{2,63}:\d{4,5}(?![\w.-])", re.I), _MASK),
)
_IP_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|\[?[0-9a-f]{0,4}(?:::?[0-9a-f]{0,4}){2,7}\]?(?!\w))",
    re.I,
)
# Letters and digits without a space or a hyphen: no word of any language.
_LONG_RUN = re.compile(r"(?P<request>\brequest.?id\W{1,4}|\breq_)?(?P<run>[A-Za-z0-9_+=]{24,})", re.I)
_MARKUP = re.compile(r"<[a-z/!?][^<>]*>?", re.I)
_PAGE = re.compile(r"<(?:!doctype|html|head|body|title|script|style)\b", re.I)
_TITLE = re.compile(r"<title\b[^<>]{0,200}>([^<]{0,1000})", re.I)


def plain_text(text: str) -> str:
    """Return the text without markup; of a web page, its title."""
    if _PAGE.search(text):
        title = _TITLE.search(text)
        text = html.unescape(title[1]) if title else ""
    return " ".join(_MARKUP.sub(" ", text[:MAX_WORDS]).split())


def _without_private(match: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(match[0].strip("[]"))
    except ValueError:
        return match[0]
    return match[0] if address.is_global else _MASK


def _without_key(match: re.Match[str]) -> str:
    run = match["run"]
    mixed = any(map(str.isdigit, run)) and any(map(str.isalpha, run))
    return match[0] if match["request"] or not (mixed or len(run) >= 40) else _MASK


# --- one secret, however it is written


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
