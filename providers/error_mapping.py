"""Turn what a provider says went wrong, in any of its shapes, into one of our errors.

Pure: a status, headers and a body in, a `ProviderError` out. The status and the
typed code decide; words decide only where a provider gives nothing better.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from .errors import (
    ContentBlocked,
    ContextTooLong,
    InvalidCredentials,
    ModelNotFound,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
    WrongAddress,
    WrongVersion,
)
from .redaction import MAX_WORDS, redact, redact_for_person
from .text import load_json

MAX_RETRY_AFTER = 3600.0
# How deep into what a provider sends is looked.
_MAX_DEPTH = 8
_MAX_ITEMS = 20

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
        ProviderFailed,
    ),
    **dict.fromkeys(("unknown_url", "url.not_found"), WrongAddress),
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
_VAGUE = (ProviderFailed, ModelNotFound)

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
_VERSION = re.compile(
    r"only for api.?versions?\b|(unsupported|invalid|missing|unknown) api.?version"
    r"|api.?version\b[^,]{0,30} is (not supported|unsupported|invalid|missing|required)",
    re.I,
)
_NO_CREDIT = re.compile(
    r"insufficient (balance|credit|quota|funds)|credit balance is too low|(out of|have any|no) credits"
    r"|exceeded your current quota, please check your plan",
    re.I,
)
# What a web framework answers for a path it does not have.
_NO_PATH = re.compile(
    r"(404 )?((page|file|path|route|resource) )?not found\W*|(invalid|unknown) (request )?url.*"
    r"|unexpected endpoint.*|(cannot|unknown|no route|unrecognized).{0,80}",
    re.I | re.S,
)
# The same where no status says that something is missing.
_WRONG_URL = re.compile(r"\W*(unexpected endpoint|(invalid|unknown) (request )?url)", re.I)
# What a server that speaks TLS says to one who does not, in a page or in plain words.
_NOT_TLS = re.compile(rb"\s*<|.{0,200}\bHTTP request .{0,40}\bHTTPS", re.I | re.S)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|only .{0,40}(is )?(allowed|supported)|deprecated|unrecognized|not permitted",
    re.I,
)
_PARAMETER = re.compile(
    r"temperature|top_p|max_tokens|max_completion_tokens|reasoning_effort|stream_options|reasoning\.\w+|thinking"
    r"|output_config"
)
# Where one word ends in a name like `reasoningEffort`.
_NEXT_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
# So many digits at most: Python reads and multiplies only so large a number.
_TRY_AGAIN = re.compile(
    r"(?:try again|retry) (?:in|after) "
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,30})?) ?(ms|s))?",
    re.I | re.ASCII,
)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,30})?)s", re.ASCII)


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
    page = body.decode("utf-8", "replace") if payload is None else ""
    fault = _fault(payload, status=status, secrets=secrets, page=page)
    fault.retry_after = retry_after(headers, fault_text(payload), payload)
    if payload is None and status == 400 and _NOT_TLS.match(body):
        fault = WrongAddress("a page, or a server that wants https", words=fault.words, status=status)
    # The provider knows better than we do whether asking again is of use.
    if headers.get("x-should-retry") == "false" or (fault.retry_after is None and _is_spent(fault, payload)):
        fault.retryable = False
    return fault


def _is_spent(fault: ProviderError, payload: Any) -> bool:
    """Whether this is Anthropic's limit of a month, the one for which it gives no time to wait."""
    return isinstance(fault, RateLimited) and isinstance(payload, dict) and payload.get("type") == "error"


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


def _fault(payload: Any, *, status: int | None, secrets: Iterable[str], page: str = "") -> ProviderError:
    secrets = tuple(secrets)
    message = fault_text(payload)
    codes = _codes(payload)
    kind = _kind(status, codes, message)
    words = [code for code in codes if code != str(status)]
    detail = redact(": ".join(filter(None, ["/".join(words), message])), secrets)
    parameter = _unsupported(payload, codes, message) if issubclass(kind, ProviderRejected) else ""
    said = redact_for_person(message or page or "/".join(words), secrets)
    return kind(detail, words=said, status=status, parameter=parameter)


def _unsupported(payload: Any, codes: list[str], message: str) -> str:
    """Return the parameter that this model does not take at all, where the provider names one."""
    for field in _superfluous(payload):
        if _PARAMETER.fullmatch(field):
            return field
    if not ({"unsupported_parameter", "unsupported_value"} & set(codes) or _NOT_TAKEN.search(message)):
        return ""
    error = payload.get("error") if isinstance(payload, dict) else None
    named = error.get("param") if isinstance(error, dict) else None
    if isinstance(named, str) and _PARAMETER.fullmatch(named):
        return named
    match = _PARAMETER.search(_NEXT_WORD.sub("_", message).lower())
    return match[0] if match else ""


def _superfluous(payload: Any) -> Iterator[str]:
    """Yield the fields that a server built with FastAPI did not expect, and so will not have."""
    holder = payload
    for name in ("error", "message"):
        if isinstance(holder, dict) and isinstance(inner := holder.get(name), dict):
            holder = inner
    details = holder.get("detail") if isinstance(holder, dict) else None
    for item in details[:_MAX_ITEMS] if isinstance(details, list) else []:
        if isinstance(item, dict) and item.get("type") == "extra_forbidden":
            place = item.get("loc")
            path = place[1:_MAX_DEPTH] if isinstance(place, list) else []
            yield ".".join(name for name in path if isinstance(name, str))


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
    return ProviderFailed if status >= 500 or status in (409, 425) else ProviderRejected


def _kind_of_words(message: str) -> type[ProviderError] | None:
    for pattern, kind in (
        (_WRONG_KEY, InvalidCredentials),
        (_TOO_LONG, ContextTooLong),
        (_BLOCKED, ContentBlocked),
        (_NO_CREDIT, QuotaExceeded),
        (_VERSION, WrongVersion),
        (_NO_MODEL, ModelNotFound),
    ):
        if pattern.search(message):
            return kind
    if _WRONG_URL.match(message):
        return WrongAddress
    return None


def fault_text(payload: Any) -> str:
    """Return the provider's own words, from wherever it put them; bounded, and may be empty."""
    if not isinstance(payload, dict):
        return payload[:MAX_WORDS] if isinstance(payload, str) else ""
    error = payload.get("error")
    if isinstance(error, dict):
        message = _words(error.get("message"))
        metadata = error.get("metadata")
        raw = _words(metadata.get("raw")) if isinstance(metadata, dict) else ""
        return ": ".join(filter(None, [message, raw]))[:MAX_WORDS]
    return _words(error) or _words(payload.get("message")) or _words(payload.get("detail"))


def _words(value: Any) -> str:
    return "; ".join(islice(_each_word(value, _MAX_DEPTH), _MAX_ITEMS))[:MAX_WORDS]


def _each_word(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value[:MAX_WORDS]
    elif depth and isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _each_word(item, depth - 1)
    elif depth and isinstance(value, dict):
        for name in ("msg", "message", "detail"):
            if words := list(islice(_each_word(value.get(name), depth - 1), _MAX_ITEMS)):
                yield from words
                return


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
            found += [item.get("reason") for item in details[:_MAX_ITEMS] if isinstance(item, dict)]
        found += [error.get("code"), error.get("type"), error.get("status")]
    elif isinstance(error, str) and _WORD.fullmatch(error):
        found.append(error)
    found += [payload.get("code"), payload.get("type") if error is None else None]
    return list(dict.fromkeys(code for code in map(_code, found) if code))


_WORD = re.compile(r"[\w.]{1,80}", re.ASCII)


def _code(value: Any) -> str:
    if isinstance(value, str):
        return value[:80].lower()
    # A larger number is no code, and one of thousands of digits cannot even be written.
    small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9
    return str(value) if small else ""


def retry_after(headers: Mapping[str, str], message: str = "", payload: Any = None) -> float | None:
    """Return the seconds the provider asked us to wait, from 0 to an hour."""
    seconds = _number(headers.get("retry-after-ms"), scale=0.001)
    # Azure sends "0" milliseconds next to whole seconds.
    if not seconds:
        seconds = _number(headers.get("retry-after"))
    if seconds is None and (date := headers.get("retry-after")):
        try:
            seconds = parsedate_to_datetime(date[:100]).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError, LookupError, OSError):
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
    for item in details[:_MAX_ITEMS] if isinstance(details, list) else []:
        delay = item.get("retryDelay") if isinstance(item, dict) else None
        if isinstance(delay, str) and (match := _DURATION.fullmatch(delay)):
            return float(match[1])
    return None
