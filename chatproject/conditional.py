"""JSON that is not sent twice, nor longer than it has to be: ETag with 304, and gzip.

All of this runs on a database thread, like the rendering before it.
"""

import hashlib
import re

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from django.utils.text import compress_string
from rest_framework.request import Request

# Below this many bytes, gzip saves no packet.
SHORTEST = 1024
# Hides the exact length from somebody who has the page ask for guesses (BREACH), as Django does it.
RANDOM_BYTES = 100
TEXTUAL = ("application/json", "application/vnd.oai.openapi", "application/yaml")
_CODING = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")


def finish(
    request: HttpRequest | Request, response: HttpResponse, *, revalidates: bool, compresses: bool
) -> HttpResponse:
    """Return the response, or a 304 in its place, or the same compressed."""
    if not response.headers.get("Content-Type", "").startswith(TEXTUAL):
        return response
    if revalidates and request.method in {"GET", "HEAD"} and response.status_code == 200:
        response = _revalidated(request, response)
    if compresses and len(response.content) >= SHORTEST:
        patch_vary_headers(response, ["Accept-Encoding"])
        if accepts_gzip(request.META.get("HTTP_ACCEPT_ENCODING", "")):
            response.content = compress_string(response.content, max_random_bytes=RANDOM_BYTES)
            response["Content-Encoding"] = "gzip"
    return response


def _revalidated(request: HttpRequest | Request, response: HttpResponse) -> HttpResponse:
    # Weak: the same text may be sent compressed or not.
    etag = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    if _matches(request.META.get("HTTP_IF_NONE_MATCH", ""), etag):
        same = HttpResponseNotModified()
        for name, value in response.items():
            if not name.lower().startswith("content-"):
                same[name] = value
        response = same
    response["ETag"] = etag
    patch_vary_headers(response, ["Accept-Encoding"])
    # A browser may keep it, and has to ask each time whether it still holds.
    response["Cache-Control"] = "private, no-cache"
    return response


def _matches(header: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 has it for `If-None-Match`."""
    known = parse_etags(header)
    return known == ["*"] or etag.removeprefix("W/") in {one.removeprefix("W/") for one in known}


def accepts_gzip(header: str) -> bool:
    """Tell whether an `Accept-Encoding` header takes gzip, by name or as one of all."""
    weights: dict[str, float] = {}
    for coding in header.lower().split(","):
        if match := _CODING.fullmatch(coding):
            weights[match[1]] = float(match[2] or 1)
    return weights.get("gzip", weights.get("*", 0)) > 0
