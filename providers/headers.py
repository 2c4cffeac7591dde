"""Headers that somebody adds to every request to their provider. Pure.

The service itself decides how a request is framed, where it goes and which key it carries.
"""

import re
from collections.abc import Mapping

MOST_HEADERS = 20
MAX_NAME_CHARS = 100
MAX_VALUE_CHARS = 2000
MAX_CHARS = 8000

_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
# Those of a connection, of a body, of a key, and those that say who asks.
_REFUSED = frozenset(
    {
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "metadata",
        "metadata-flavor",
        "proxy",
        "range",
        "set-cookie",
        "set-cookie2",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-api-key",
        "true-client-ip",
        "x-client-ip",
        "x-goog-api-key",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-real-ip",
        "x-rewrite-url",
    }
)
_REFUSED_BEGINNINGS = (
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-aws-ec2-metadata",
    "cf-",
    "remote-",
    "x-forwarded",
    "x-original-",
    "x-google-metadata",
)


class HeaderRefused(ValueError):
    """A header that nobody may add; `name` is the header's, as it can be shown."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class HeaderUnreadable(HeaderRefused):
    """Its name or value cannot be a header's."""


def checked_header(name: str, value: str) -> tuple[str, str]:
    """Return a header in its normal form, in small letters and trimmed; raises `HeaderRefused`."""
    name, value = name.strip().lower(), value.strip()
    if not _TOKEN.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise HeaderUnreadable(name[:MAX_NAME_CHARS])
    # Some servers read an underscore as a dash.
    dashed = name.replace("_", "-")
    if dashed in _REFUSED or dashed.startswith(_REFUSED_BEGINNINGS):
        raise HeaderRefused(name)
    if len(value) > MAX_VALUE_CHARS or not (value.isascii() and value.isprintable()):
        raise HeaderUnreadable(name)
    return name, value


def fit(headers: Mapping[str, str]) -> bool:
    """Tell whether all headers together are within the bounds."""
    return len(headers) <= MOST_HEADERS and sum(map(len, (*headers, *headers.values()))) <= MAX_CHARS
