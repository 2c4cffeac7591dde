"""Cross-origin requests: which headers a page of another site may send, beyond those that can be listed."""

import re

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

# The OpenAI and Anthropic clients describe themselves in headers of this prefix, and add new ones over time.
CLIENT_HEADER = re.compile(r"x-stainless-[a-z0-9-]{1,64}")
MAX_CLIENT_HEADERS = 32
ALLOW_HEADERS = "Access-Control-Allow-Headers"
REQUEST_HEADERS = "Access-Control-Request-Headers"


class ApiCorsMiddleware(CorsMiddleware):
    """django-cors-headers, which knows a fixed list of headers only, with a pattern beside the list."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        super().add_response_headers(request, response)
        if ALLOW_HEADERS in response:
            asked = client_headers(request.headers.get(REQUEST_HEADERS, ""))
            response[ALLOW_HEADERS] = ", ".join([response[ALLOW_HEADERS], *asked])
            patch_vary_headers(response, [REQUEST_HEADERS])
        return response


def client_headers(asked: str) -> list[str]:
    """Return those of the asked header names that a client describes itself with."""
    names = (name.strip().lower() for name in asked.split(","))
    return [name for name in names if CLIENT_HEADER.fullmatch(name)][:MAX_CLIENT_HEADERS]


def headers_for(origin: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response that is sent before Django has seen the request."""
    if origin not in settings.CORS_ALLOWED_ORIGINS:
        return []
    return [
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-expose-headers", ", ".join(settings.CORS_EXPOSE_HEADERS).encode()),
        (b"vary", b"origin"),
    ]
