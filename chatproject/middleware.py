"""The request's way in: a short one for the API, Django's usual one for pages.

Each of Django's own middlewares costs a hop to a thread and back. The API needs
none of them: its views authenticate, check CSRF for cookies, and choose the
language by the `Accept-Language` header alone.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import gettext_lazy as _
from django.utils.translation.trans_real import parse_accept_lang_header

from chatproject import limits
from chatproject.errors import refusal, speaks_json

logger = logging.getLogger(__name__)

HOST_NOT_ALLOWED = _(
    "This server does not answer to this host name. Its operator can add it to ALLOWED_HOSTS."
)
UNSUPPORTED_CHARSET = _("Send the body in UTF-8.")

# Probes ask by the address of one container, which no list of host names holds.
ANY_HOST = {"/healthz", "/readyz"}


def is_api(path: str) -> bool:
    """Tell whether a path is the API's; its documentation is a page."""
    return speaks_json(path) and path != "/api/docs"


def refused(request: HttpRequest) -> HttpResponse | None:
    """Refuse what no view could make sense of, or must not be asked to."""
    if request.path_info not in ANY_HOST:
        try:
            request.get_host()
        except DisallowedHost:
            # A page elsewhere whose name was pointed at this server would count as its own.
            return refusal(request, 400, code="host_not_allowed", text=HOST_NOT_ALLOWED)
    # PostgreSQL cannot be asked for a NUL, and nobody types one.
    query = request.META["QUERY_STRING"]
    if "\0" in request.path_info or "\0" in query or "%00" in query:
        return refusal(request, 400)
    # Django would decode the form, and the query, by whatever Python knows under that name.
    if (request.content_params or {}).get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        return refusal(request, 415, code="unsupported_charset", text=UNSUPPORTED_CHARSET)
    return None


def best_language(accepted: str) -> str:
    """Return the best of an `Accept-Language` header that we have, or the default."""
    for code, _quality in parse_accept_lang_header(accepted.lower()):
        if code == "*":
            break
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE


def _sized(response: HttpResponseBase) -> HttpResponseBase:
    """Say how long the body is; where there cannot be one, nothing is said of it."""
    if response.status_code in {204, 304}:
        response.headers.pop("Content-Type", None)
    elif not response.streaming and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
    return response


def _finish(request: HttpRequest, response: HttpResponseBase, language: str) -> HttpResponseBase:
    headers = response.headers
    for name, value in limits.headers_of(request, response.status_code).items():
        headers[name] = value
    headers.setdefault("Content-Language", language)
    patch_vary_headers(response, ["Accept-Language", "Authorization", "Cookie"])
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return _sized(response)


@sync_and_async_middleware
def api_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Answer the API in the client's language, with headers that fit data."""
    if iscoroutinefunction(get_response):

        async def in_async(request: HttpRequest) -> HttpResponseBase:
            if not is_api(request.path_info):
                return _sized(await get_response(request))
            language = best_language(request.headers.get("Accept-Language", ""))
            with translation.override(language):
                return _finish(request, refused(request) or await get_response(request), language)

        return in_async

    def in_sync(request: HttpRequest) -> HttpResponseBase:
        if not is_api(request.path_info):
            return _sized(get_response(request))
        language = best_language(request.headers.get("Accept-Language", ""))
        with translation.override(language):
            return _finish(request, refused(request) or get_response(request), language)

    return in_sync


class PagesOnly:
    """Lets the API pass by."""

    get_response: Callable[[HttpRequest], Any]

    def __call__(self, request: HttpRequest) -> Any:
        if is_api(request.path_info):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # mixed into a middleware


class PageSecurityMiddleware(PagesOnly, SecurityMiddleware):
    pass


class PageCSPMiddleware(PagesOnly, CSPMiddleware):
    pass


class PageGuardMiddleware:
    """Refuses for pages what `api_middleware` refuses for the API."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._in_async(request)
        return self._refused(request) or self.get_response(request)

    async def _in_async(self, request: HttpRequest) -> HttpResponseBase:
        return self._refused(request) or await self.get_response(request)

    def _refused(self, request: HttpRequest) -> HttpResponse | None:
        if is_api(request.path_info):
            return None
        with translation.override(best_language(request.headers.get("Accept-Language", ""))):
            return refused(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Tell a filter of the admin that no database can compare with from a fault of ours."""
        if request.path_info.startswith("/admin/") and isinstance(exception, OverflowError | DataError):
            logger.warning("%s: a value that is out of range", request.path_info)
            return refusal(request, 400)
        return None


class PageSessionMiddleware(PagesOnly, SessionMiddleware):
    pass


class PageCsrfMiddleware(PagesOnly, CsrfViewMiddleware):
    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> HttpResponseForbidden | None:
        if is_api(request.path_info):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)


class PageAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    pass


class PageLocaleMiddleware(PagesOnly, LocaleMiddleware):
    """The person's own choice first, then the browser's."""

    def process_request(self, request: HttpRequest) -> None:
        chosen = getattr(request.user, "language", "") if request.user.is_authenticated else ""
        translation.activate(chosen or translation.get_language_from_request(request))
        request.LANGUAGE_CODE = translation.get_language()


class PageMessageMiddleware(PagesOnly, MessageMiddleware):
    pass


class PageXFrameOptionsMiddleware(PagesOnly, XFrameOptionsMiddleware):
    pass
