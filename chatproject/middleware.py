"""The request's way in: a short one for the API, Django's usual one for pages.

Each of Django's own middlewares costs a hop to a thread and back. The API needs
none of them: its views authenticate, check CSRF for cookies, and choose the
language by the `Accept-Language` header alone.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation.trans_real import parse_accept_lang_header

PLAIN_PATHS = {"/healthz", "/readyz", "/metrics"}


def is_api(path: str) -> bool:
    """Tell whether a path is the API's; its documentation is a page."""
    return (path.startswith("/api/") and path != "/api/docs") or path in PLAIN_PATHS


def best_language(accepted: str) -> str:
    """Return the best of an `Accept-Language` header that we have, or the default."""
    for code, _ in parse_accept_lang_header(accepted.lower()):
        if code == "*":
            break
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE


def _sized(response: HttpResponseBase) -> HttpResponseBase:
    if not response.streaming and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
    return response


def _finish(response: HttpResponseBase, language: str) -> HttpResponseBase:
    headers = response.headers
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
                return _finish(await get_response(request), language)

        return in_async

    def in_sync(request: HttpRequest) -> HttpResponseBase:
        if not is_api(request.path_info):
            return _sized(get_response(request))
        language = best_language(request.headers.get("Accept-Language", ""))
        with translation.override(language):
            return _finish(get_response(request), language)

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
