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

from .error_codes import (
    BY_STATUS,
    BY_WORDS,
    NO_CHANNEL,
    NOT_A_RATE,
    NOT_THE_KEY,
    WITHOUT_STATUS,
    Kind,
    exact_kind,
    vague_kind,
)
from .errors import (
    AccessDenied,
    ContextTooLong,
    InvalidCredentials,
    ModelNotFound,
    ProviderError,
    ProviderFailed,
    ProviderRejected,
    QuotaExceeded,
    RateLimited,
    WrongAddress,
)
from .redaction import MAX_WORDS, redact, redact_for_person
from .text import load_json

MAX_RETRY_AFTER = 3600.0
# How deep into what a provider sends is looked.
_MAX_DEPTH = 8
_MAX_ITEMS = 20

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
    page = ""
    if payload is None:
        said = body.decode("utf-8", "replace")
        if said.lstrip("\ufeff \t\r\n").startswith("<"):
            page = said
        else:
            payload = said
    fault = _fault(payload, status=status, secrets=secrets, page=page)
    fault.retry_after = retry_after(headers, fault_text(payload), payload)
    if not isinstance(payload, dict) and status == 400 and _NOT_TLS.match(body):
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
    kind = _kind(status, codes, message, page=bool(page))
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


def _kind(status: int | None, codes: list[str], message: str, *, page: bool) -> Kind:
    if status == 413:
        # Also where Groq calls it a rate limit: waiting makes the request no smaller.
        return ContextTooLong
    named = [kind for code in codes if (kind := exact_kind(code))]
    exact = named[0] if named else None
    if exact is RateLimited and status in (None, 403, 429) and QuotaExceeded in named:
        exact = QuotaExceeded
    if status in (401, 403) and exact in (None, InvalidCredentials):
        # A page is a firewall's: no API answers with one.
        otherwise = AccessDenied if page and status == 403 else InvalidCredentials
        return _first(NOT_THE_KEY, message) or otherwise
    return exact or _kind_of_status(status, message) or _kind_of_rest(status, codes)


def _kind_of_status(status: int | None, message: str) -> Kind | None:
    """Return what a status means, together with the words where it means little by itself."""
    if status == 404:
        return ModelNotFound if message and not _NO_PATH.fullmatch(message) else WrongAddress
    if status == 405 or (status is not None and 300 <= status < 400):
        return WrongAddress
    if status == 429:
        return _first(NOT_A_RATE, message) or RateLimited
    if status == 503 and NO_CHANNEL.search(message):
        return ModelNotFound
    if status in BY_STATUS:
        return BY_STATUS[status]
    if spoken := _first(BY_WORDS, message):
        return spoken
    if _WRONG_URL.match(message):
        return WrongAddress
    return _first(WITHOUT_STATUS, message) if status is None else None


def _kind_of_rest(status: int | None, codes: list[str]) -> Kind:
    if vague := next(filter(None, map(vague_kind, codes)), None):
        return vague
    if status is None:
        return ProviderError
    return ProviderFailed if status >= 500 or status in (409, 425) else ProviderRejected


def _first(words: Iterable[tuple[re.Pattern[str], Kind]], message: str) -> Kind | None:
    return next((kind for pattern, kind in words if pattern.search(message)), None)


def tells_error(payload: dict[str, Any]) -> bool:
    """Whether this is an error and no piece of an answer; some put it as null into every piece."""
    if payload.get("error") not in (None, False, "") or payload.get("object") == "error":
        return True
    return not payload.get("choices") and any(True for _ in _bare_errors(payload))


def _bare_errors(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and words of errors that stand under no `error`, many of them sent with status 200."""
    for holder, code, words, whose in _BARE_ERRORS:
        found: Any = payload
        for name in holder:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict) and isinstance(said := found.get(words), str):
            named = _code(found.get(code))
            if named and named not in _NO_ERROR:
                yield whose + named, said
    said, named = payload.get("message"), _code(payload.get("code"))
    if named and named not in _NO_ERROR and isinstance(said, str) and not _AN_ANSWER & payload.keys():
        yield named, said


# Where they stand, what their code and their words are called, and whose numbers the codes are.
_BARE_ERRORS = (
    (("base_resp",), "status_code", "status_msg", "minimax."),
    ((), "error_code", "error_msg", "baidu."),
    (("header",), "code", "message", ""),
    (("Response", "Error"), "Code", "Message", ""),
    (("ErrorMsg",), "Code", "Msg", ""),
)
_NO_ERROR = ("0", "200", "20000", "ok", "success")
_AN_ANSWER = {"type", "choices", "candidates", "data", "done", "result"}


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
    said = _words(error) or _words(payload.get("message")) or _words(payload.get("detail"))
    return said or "; ".join(words for _, words in _bare_errors(payload))[:MAX_WORDS]


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
    found += [code for code, _ in _bare_errors(payload)] if error is None else _told_otherwise(error)
    return list(dict.fromkeys(code for code in map(_code, found) if code))


def _told_otherwise(error: Any) -> Iterator[str]:
    """Yield codes for what an error says elsewhere: OpenRouter's moderation, MiniMax's number in brackets."""
    if not isinstance(error, dict):
        return
    metadata, message = error.get("metadata"), error.get("message")
    if isinstance(metadata, dict) and ("flagged_input" in metadata or metadata.get("reasons")):
        yield "flagged_input"
    if isinstance(message, str) and (number := _IN_BRACKETS.search(message[-20:])):
        yield f"minimax.{number[1]}"


_IN_BRACKETS = re.compile(r"\((\d{4})\)$", re.ASCII)
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
