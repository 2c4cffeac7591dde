"""What a provider says went wrong, in any of its shapes, as one of our errors.

Pure: a status, headers and a body in, a `ProviderError` out. The status and the
typed code decide; words decide only where a provider gives nothing better.
"""

import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from .errors import (
    BrokenStream,
    ContentBlocked,
    ContextTooLong,
    InvalidCredentials,
    ModelNotFound,
    ProviderError,
    ProviderOverloaded,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    WrongAddress,
)
from .text import clean_text, load_json

MAX_RETRY_AFTER = 3600.0
_MAX_DETAIL = 500

# Typed codes, types and statuses in lower case, whatever key they came under.
_BY_CODE: dict[str, type[ProviderError]] = {
    **dict.fromkeys(
        (
            "invalid_api_key",
            "invalid_authentication_error",
            "incorrect_api_key_error",
            "authentication_error",
            "permission_error",
            "permission_denied",
            "unauthenticated",
            "unauthorized",
            "api_key_invalid",
            "invalidapikey",
            "access_denied",
            "1000",
            "1001",
            "1002",
            "1003",
            "1004",
        ),
        InvalidCredentials,
    ),
    **dict.fromkeys(
        (
            "insufficient_quota",
            "insufficient_balance",
            "exceeded_current_quota_error",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "arrearage",
            "1113",
        ),
        QuotaExceeded,
    ),
    **dict.fromkeys(
        (
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limit_reached_error",
            "ratelimitreached",
            "resource_exhausted",
            "limit_requests",
            "limit_burst_rate",
            "too_many_requests",
            "1302",
            "1303",
        ),
        RateLimited,
    ),
    **dict.fromkeys(
        (
            "overloaded_error",
            "engine_overloaded_error",
            "service_unavailable",
            "unavailable",
            "unavailable_error",
            "1305",
        ),
        ProviderOverloaded,
    ),
    **dict.fromkeys(
        (
            "model_not_found",
            "model_not_found_error",
            "not_found_error",
            "not_found",
            "deploymentnotfound",
            "1211",
        ),
        ModelNotFound,
    ),
    **dict.fromkeys(
        (
            "context_length_exceeded",
            "exceed_context_size_error",
            "model_context_window_exceeded",
            "request_too_large",
            "string_above_max_length",
            "too_many_tokens",
            "1261",
        ),
        ContextTooLong,
    ),
    **dict.fromkeys(
        (
            "content_filter",
            "content_policy_violation",
            "data_inspection_failed",
            "datainspectionfailed",
            "responsibleaipolicyviolation",
            "invalid_prompt",
            "1301",
        ),
        ContentBlocked,
    ),
    **dict.fromkeys(
        ("server_error", "api_error", "internal_server_error", "internal", "internal_error"),
        ProviderUnavailable,
    ),
    **dict.fromkeys(("timeout", "timeout_error", "deadline_exceeded"), ProviderTimeout),
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: InvalidCredentials,
    402: QuotaExceeded,
    403: InvalidCredentials,
    404: ModelNotFound,
    408: ProviderTimeout,
    413: ContextTooLong,
    429: RateLimited,
    498: ProviderOverloaded,
    503: ProviderOverloaded,
    504: ProviderTimeout,
    524: ProviderTimeout,
    529: ProviderOverloaded,
}
# Codes that stand for very different things; the status or the words know better.
_VAGUE = (ProviderUnavailable, ModelNotFound)

_WRONG_KEY = re.compile(
    r"(incorrect|invalid|wrong|missing|expired)\W.{0,20}\bapi.?key|api.?key\b.{0,20}\b(not valid|invalid)",
    re.I,
)
_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum context|too long|token count|too many tokens|reduce the length"
    r"|exceeded model token limit|range of input length"
    r"|exceeds? the (maximum|limit|context)|maximum (prompt|input) length",
    re.I,
)
_BLOCKED = re.compile(
    r"content (filter|management policy|policy)|inappropriate content|data may contain|high risk"
    r"|sensitive content",
    re.I,
)
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,120}(not found|does not exist|not exist|unknown|not supported|no such)"
    r"|(no such|unknown|invalid|not a valid) model",
    re.I | re.S,
)
_NO_CREDIT = re.compile(
    r"insufficient (balance|credit|quota|funds)|credit balance is too low|(out of|have any|no) credits"
    r"|exceeded your current quota, please check your plan",
    re.I,
)
# What a web framework answers for a path it does not have.
_NO_PATH = re.compile(
    r"(404 )?((page|file|path|route|resource) )?not found\W*|invalid url.*"
    r"|(cannot|unknown|no route|unrecognized).{0,80}",
    re.I | re.S,
)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|only .{0,40}(is )?(allowed|supported)|deprecated|unrecognized|not permitted",
    re.I,
)
_PARAMETER = re.compile(
    r"temperature|top_p|max_tokens|max_completion_tokens|reasoning_effort|stream_options|reasoning\.\w+|thinking"
)
_TRY_AGAIN = re.compile(
    r"(?:try again|retry) (?:in|after) (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?) ?(ms|s))?", re.I
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


def fault_of_response(
    status: int, headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str] = ()
) -> ProviderError:
    """Return what an HTTP answer with an error status means."""
    try:
        payload = load_json(body)
    except ValueError:
        payload = None
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    fault = _fault(payload, status=status, secrets=secrets)
    fault.retry_after = retry_after(headers, fault_text(payload), payload)
    # The provider knows better than we do whether asking again is of use.
    if headers.get("x-should-retry") == "false":
        fault.retryable = False
    return fault


def fault_in_stream(payload: Any, *, secrets: Iterable[str] = ()) -> ProviderError:
    """Return what an error object inside a stream that began well means."""
    error = payload.get("error") if isinstance(payload, dict) else None
    status = None
    for holder in (error, payload):
        if isinstance(holder, dict):
            for key in ("status_code", "http_code", "code", "status"):
                value = holder.get(key)
                if isinstance(value, str) and value.isdecimal() and len(value) == 3:
                    value = int(value)
                if isinstance(value, int) and 400 <= value <= 599:
                    status = status or value
    fault = _fault(payload, status=status, secrets=secrets)
    fault.retry_after = retry_after({}, fault_text(payload), payload)
    return fault


def _fault(payload: Any, *, status: int | None, secrets: Iterable[str]) -> ProviderError:
    message = fault_text(payload)
    codes = _codes(payload)
    kind = _kind(status, codes, message)
    words = [code for code in codes if code != str(status)]
    detail = redact(": ".join(filter(None, ["/".join(words), message])), secrets)
    parameter = _unsupported(payload, codes, message) if issubclass(kind, ProviderRejected) else ""
    return kind(detail, status=status, parameter=parameter)


def _unsupported(payload: Any, codes: list[str], message: str) -> str:
    """Return the parameter that this model does not take at all, where the provider names one."""
    if not ({"unsupported_parameter", "unsupported_value"} & set(codes) or _NOT_TAKEN.search(message)):
        return ""
    error = payload.get("error") if isinstance(payload, dict) else None
    named = error.get("param") if isinstance(error, dict) else None
    if isinstance(named, str) and _PARAMETER.fullmatch(named):
        return named
    match = _PARAMETER.search(message)
    return match[0] if match else ""


def _kind(status: int | None, codes: list[str], message: str) -> type[ProviderError]:
    if status == 413:
        # Also where Groq calls it a rate limit: waiting makes the request no smaller.
        return ContextTooLong
    typed = [_BY_CODE[code] for code in codes if code in _BY_CODE]
    exact = next((kind for kind in typed if kind not in _VAGUE), None)
    if exact is RateLimited and status in (None, 403, 429) and QuotaExceeded in typed:
        exact = QuotaExceeded
    if status in (401, 403) and exact in (None, InvalidCredentials):
        return QuotaExceeded if _NO_CREDIT.search(message) else InvalidCredentials
    if exact is not None:
        return exact
    if status == 404:
        return ModelNotFound if message and not _NO_PATH.fullmatch(message) else WrongAddress
    if status == 405 or (status is not None and 300 <= status < 400):
        return WrongAddress
    if status is None or status in (400, 413, 422, 500) or status not in _BY_STATUS:
        spoken = _kind_of_words(message)
        if spoken is not None:
            return spoken
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if typed:
        return typed[0]
    if status is None:
        return ProviderError
    return ProviderUnavailable if status >= 500 or status in (409, 425) else ProviderRejected


def _kind_of_words(message: str) -> type[ProviderError] | None:
    for pattern, kind in (
        (_WRONG_KEY, InvalidCredentials),
        (_TOO_LONG, ContextTooLong),
        (_BLOCKED, ContentBlocked),
        (_NO_CREDIT, QuotaExceeded),
        (_NO_MODEL, ModelNotFound),
    ):
        if pattern.search(message):
            return kind
    return None


def fault_text(payload: Any) -> str:
    """Return the provider's own words, from wherever it put them; may be empty."""
    if not isinstance(payload, dict):
        return payload if isinstance(payload, str) else ""
    error = payload.get("error")
    if isinstance(error, dict):
        message = _words(error.get("message"))
        metadata = error.get("metadata")
        raw = _words(metadata.get("raw")) if isinstance(metadata, dict) else ""
        return ": ".join(filter(None, [message, raw]))
    return _words(error) or _words(payload.get("message")) or _words(payload.get("detail"))


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(item) for item in value[:5])))
    if isinstance(value, dict):
        return _words(value.get("msg")) or _words(value.get("message"))
    return ""


def _codes(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return []
    error = payload.get("error")
    found: list[Any] = []
    if isinstance(error, dict):
        inner = error.get("innererror")
        if isinstance(inner, dict):
            found.append(inner.get("code"))
        details = error.get("details")
        if isinstance(details, list):
            found += [item.get("reason") for item in details if isinstance(item, dict)]
        found += [error.get("code"), error.get("type"), error.get("status")]
    found += [payload.get("code"), payload.get("type") if error is None else None]
    texts = (
        str(value).lower() for value in found if isinstance(value, str | int) and not isinstance(value, bool)
    )
    return list(dict.fromkeys(text[:80] for text in texts if text))


def retry_after(headers: Mapping[str, str], message: str = "", payload: Any = None) -> float | None:
    """Return the seconds the provider asked us to wait, from 0 to an hour."""
    seconds = _number(headers.get("retry-after-ms"), scale=0.001)
    # Azure sends "0" milliseconds next to whole seconds.
    if not seconds:
        seconds = _number(headers.get("retry-after"))
    if seconds is None and (date := headers.get("retry-after")):
        try:
            seconds = parsedate_to_datetime(date).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            seconds = None
    if seconds is None:
        seconds = _retry_info(payload)
    if seconds is None and (match := _TRY_AGAIN.search(message)) and any(match.groups()):
        hours, minutes, rest, unit = match.groups()
        seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60
        seconds += float(rest or 0) * (0.001 if unit and unit.lower() == "ms" else 1)
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _number(text: str | None, scale: float = 1.0) -> float | None:
    return (
        float(text) * scale if text and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip(), re.ASCII) else None
    )


def _retry_info(payload: Any) -> float | None:
    error = payload.get("error") if isinstance(payload, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for item in details if isinstance(details, list) else []:
        delay = item.get("retryDelay") if isinstance(item, dict) else None
        if isinstance(delay, str) and (match := _DURATION.fullmatch(delay)):
            return float(match[1])
    return None


_MASKED = re.compile(r"\S*\*{3,}\S*")
_ECHOED = re.compile(r"(\b(?:api.?key|bearer)\b[^:=]{0,20}[:=]?\s+)(?=\S*[\d_-])\S{8,}", re.I)
_KEY_SHAPED = re.compile(r"\b(?:sk|pk|rk|gsk|xai|AIza|hf|nvapi|Bearer)[-_ ]?[A-Za-z0-9_\-.]{8,}")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text fit for a log: one line, bounded, and nothing in it that looks like a key."""
    text = text[: 8 * _MAX_DETAIL]
    for secret in secrets:
        # Something shorter is no key, and would be found in every other word.
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    for pattern, with_ in ((_MASKED, "***"), (_ECHOED, r"\1***"), (_KEY_SHAPED, "***")):
        text = pattern.sub(with_, text)
    text = " ".join(clean_text(text).split())
    return "".join(c for c in text if c.isprintable())[:_MAX_DETAIL]


def unreadable(what: str) -> BrokenStream:
    return BrokenStream(what, retryable=False)
