"""The one error shape of the API: `{"error", "code", "fields"?, "detail"?, "requestId"}`."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from chatproject import request_ids

logger = logging.getLogger(__name__)

Text = str | Promise

# What the operator's machinery asks.
PLAIN_PATHS = {"/healthz", "/readyz", "/metrics"}


class ApiError(exceptions.APIException):
    """A refusal with a stable code, a text for a person, and a status."""

    status_code = 400
    code = "bad_request"
    text: Text = _("The request could not be understood.")

    def __init__(self, *, retry_after: float | None = None) -> None:
        super().__init__(str(self.code), self.code)
        self.wait = retry_after


class NotAuthenticated(ApiError):
    status_code = 401
    code = "not_authenticated"
    text = _("Sign in first.")


class Throttled(ApiError):
    status_code = 429
    code = "rate_limited"
    text = _("Too many requests. Wait a moment, then try again.")


@runtime_checkable
class Refusal(Protocol):
    """What any other error needs to be told to a client, a provider's for one."""

    code: str
    text: Text
    http_status: int
    retry_after: float | None
    # The provider's own words, where they are fit to be read.
    words: str


# DRF's own exceptions, by their default codes, in this project's words.
DRF_TEXTS: dict[str, tuple[str, Text]] = {
    "parse_error": ("malformed_json", _("The body is not valid JSON.")),
    "authentication_failed": ("invalid_token", _("The sign-in is no longer valid. Sign in again.")),
    "not_authenticated": ("not_authenticated", _("Sign in first.")),
    "permission_denied": ("permission_denied", _("You may not do this.")),
    "not_found": ("not_found", _("Not found.")),
    "method_not_allowed": ("method_not_allowed", _("This method is not allowed here.")),
    "not_acceptable": ("not_acceptable", _("None of the requested formats can be given.")),
    "unsupported_media_type": ("unsupported_media_type", _("Send the body as application/json.")),
    "throttled": ("rate_limited", _("Too many requests. Wait a moment, then try again.")),
    "error": ("server_error", _("Something went wrong on the server. Try again.")),
}

UNAVAILABLE_ERRORS = (OperationalError, InterfaceError, RedisError)
UNAVAILABLE_SECONDS = 5  # after which one may try again
UNAVAILABLE = _("The server cannot reach its database or cache. Try again in a moment.")

PLAIN: dict[int, tuple[str, Text]] = {
    400: ("bad_request", _("The request could not be understood.")),
    401: ("not_authenticated", _("Sign in first.")),
    403: ("permission_denied", _("You may not do this.")),
    404: ("not_found", _("Not found.")),
    408: ("body_too_slow", _("The request took too long to arrive.")),
    413: ("body_too_large", _("The request is too large.")),
    500: ("server_error", _("Something went wrong on the server. Try again.")),
    503: ("shutting_down", _("The server is restarting. Try again in a moment.")),
}


def body(
    code: str, text: Text, fields: Mapping[str, list[str]] | None = None, *, detail: str = ""
) -> dict[str, Any]:
    shape: dict[str, Any] = {"error": str(text), "code": code}
    if fields:
        shape["fields"] = dict(fields)
    if detail:
        shape["detail"] = detail
    if request_id := request_ids.current():
        shape["requestId"] = request_id
    return shape


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Give every exception that a client can cause the one shape; others are a 500."""
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, ApiError):
        return _response(exc.status_code, body(exc.code, exc.text), wait=exc.wait)
    if isinstance(exc, exceptions.ValidationError):
        fields = flatten(exc.detail)
        first = next(iter(fields.values()), [str(_("Check what you entered."))])[0]
        return _response(400, body("invalid", first, fields))
    if isinstance(exc, exceptions.APIException):
        codes = exc.get_codes()
        code, text = DRF_TEXTS.get(exc.default_code, (str(codes), str(exc.detail)))
        if isinstance(codes, str) and codes != exc.default_code:
            code, text = codes, str(exc.detail)
        challenge = getattr(exc, "auth_header", None)
        return _response(
            exc.status_code, body(code, text), wait=getattr(exc, "wait", None), challenge=challenge
        )
    if isinstance(exc, UNAVAILABLE_ERRORS):
        logger.error("a service that this one needs does not answer: %s", type(exc).__name__)
        return _response(503, body("unavailable", UNAVAILABLE), wait=UNAVAILABLE_SECONDS)
    if isinstance(exc, Refusal):
        return _response(exc.http_status, body(exc.code, exc.text, detail=exc.words), wait=exc.retry_after)
    return None


def _response(
    status: int, data: dict[str, Any], *, wait: float | None = None, challenge: str | None = None
) -> Response:
    headers = {}
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    if challenge or status == 401:
        headers["WWW-Authenticate"] = challenge or 'Bearer realm="api"'
    response = Response(data, status=status, headers=headers)
    # An answer given on purpose, also where its status is 502: Django would write every
    # one of them into the log as an error of this server.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def flatten(detail: Any, name: str = "") -> dict[str, list[str]]:
    """Return nested validation errors as `{"field": ["text"]}`; dots name what is nested."""
    if isinstance(detail, Mapping):
        fields: dict[str, list[str]] = {}
        for key, value in detail.items():
            key = "" if key == "non_field_errors" else str(key)
            for path, texts in flatten(value, ".".join(filter(None, (name, key)))).items():
                fields.setdefault(path, []).extend(texts)
        return fields
    if isinstance(detail, list):
        if any(isinstance(item, Mapping | list) for item in detail):
            fields = {}
            for item in detail:
                for path, texts in flatten(item, name).items():
                    fields.setdefault(path, []).extend(texts)
            return fields
        return {name or "nonFieldErrors": [str(item) for item in detail]}
    return {name or "nonFieldErrors": [str(detail)]}


def error_response(
    status: int, *, code: str = "", text: Text = "", wait: float | None = None
) -> JsonResponse:
    """Return the one error shape where no DRF view is at hand."""
    plain_code, plain_text = PLAIN.get(status, PLAIN[500])
    shape = body(code or plain_code, text or plain_text)
    response = JsonResponse(shape, status=status, json_dumps_params={"ensure_ascii": False})
    if wait is not None:
        response["Retry-After"] = str(max(1, round(wait)))
    return response


def speaks_json(path: str) -> bool:
    """Tell whether errors at this path are for programs; all others are for people."""
    return path == "/api" or path.startswith("/api/") or path in PLAIN_PATHS


def refusal(request: HttpRequest, status: int, *, code: str = "", text: Text = "") -> HttpResponse:
    """Return an error as the path tells it: the one shape, or a page."""
    if speaks_json(request.path_info):
        return error_response(status, code=code, text=text)
    plain_code, plain_text = PLAIN.get(status, PLAIN[500])
    context = {
        "status": status,
        "code": code or plain_code,
        "text": text or plain_text,
        "request_id": request_ids.current(),
    }
    return render(request, "error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal(request, 403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Tell of a fault; where it is a service's that this one needs, that is no fault of ours."""
    fault = sys.exc_info()[1]
    if isinstance(fault, UNAVAILABLE_ERRORS):
        logger.error("a service that this one needs does not answer: %s", type(fault).__name__)
        return unavailable(request)
    return refusal(request, 500)


def unavailable(request: HttpRequest | None = None) -> HttpResponse:
    """Return the refusal while the database or Redis is away: a page for a request of one, else the API's."""
    told: dict[str, Any] = {"code": "unavailable", "text": UNAVAILABLE}
    if request is None:
        response: HttpResponse = error_response(503, **told)
    else:
        # The person's own choice of a language may not have been readable.
        with translation.override(translation.get_language_from_request(request)):
            response = refusal(request, 503, **told)
    response["Retry-After"] = str(UNAVAILABLE_SECONDS)
    # Django would write the whole fault into the log, for each of those who ask.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid CSRF token, or one from an origin that is not the service's own."""
    log_csrf_failure(request, reason)
    if not is_about_origin(reason) or speaks_json(request.path_info):
        text = _("This form is out of date. Go back, reload the page, and send it again.")
        return refusal(request, 403, code="csrf_failed", text=text)
    user = getattr(request, "user", None)
    context = {
        "status": 403,
        "code": "csrf_failed",
        "text": _("This server does not know the address by which you reached it."),
        # What to set is of use to those only who run the server.
        "reason": reason if user is not None and user.is_staff else "",
        "sent_origin": sent_origin(request),
        "own_origin": f"{request.scheme}://{request.get_host()}",
    }
    return render(request, "error.html", context, status=403)


def is_about_origin(reason: str) -> bool:
    """Tell whether Django refused the origin or the referrer, as it does behind a proxy that changes them."""
    return reason.startswith(("Origin checking failed", "Referer checking failed"))


def sent_origin(request: HttpRequest) -> str:
    """Return the origin that the browser sent, or the one of its referrer."""
    sent = request.headers.get("Origin") or request.headers.get("Referer", "")
    try:
        parts = urlsplit(sent)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else ""


LOG_PAUSE_SECONDS = 10
_csrf_logged_at = -float(LOG_PAUSE_SECONDS)


def log_csrf_failure(request: HttpRequest, reason: str) -> None:
    """Log Django's own reason, now and then: anybody can cause it, and nobody shall fill the log with it."""
    global _csrf_logged_at
    now = time.monotonic()
    if not is_about_origin(reason) or now - _csrf_logged_at < LOG_PAUSE_SECONDS:
        return
    _csrf_logged_at = now
    own = f"{request.scheme}://{request.get_host()}"
    logger.warning("%s: CSRF: %.300s (the service takes itself to be at %s)", request.path_info, reason, own)
