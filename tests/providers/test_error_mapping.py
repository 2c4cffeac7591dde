"""Every recorded error body, and the shapes that no recording shows."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from providers.error_mapping import fault_in_stream, fault_of_response, retry_after
from providers.errors import (
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
)

from .recordings import recordings

CLASSES = {
    "auth": InvalidCredentials,
    "not_found": ModelNotFound,
    "rate_limit": RateLimited,
    "quota": QuotaExceeded,
    "context_length": ContextTooLong,
    "content_filter": ContentBlocked,
    "overloaded": ProviderOverloaded,
    "upstream": ProviderOverloaded,
    "bad_request": ProviderRejected,
}


@pytest.mark.parametrize("recording", recordings("http-error"), ids=lambda r: r.id)
def test_a_recorded_error_is_understood(recording):
    status = recording.sidecar["http_status"]

    fault = fault_of_response(status, recording.headers, recording.body)

    assert type(fault) is CLASSES[recording.expected["error_class"]]
    assert fault.status == status
    if wait := recording.expected.get("retry_after"):
        assert fault.retry_after == float(wait)
    if message := recording.expected["error"]["message"]:
        assert message[:20] in fault.detail
    assert "<" not in fault.detail


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            400,
            {"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            ContentBlocked,
        ),
        (400, {"error": {"code": "1261", "message": "Prompt 超长"}}, ContextTooLong),
        (400, {"error": {"type": "exceed_context_size_error", "n_ctx": 8}}, ContextTooLong),
        (
            400,
            {"error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            ContextTooLong,
        ),
        (413, {}, ContextTooLong),
        (413, {"error": {"message": "Request too large", "code": "rate_limit_exceeded"}}, ContextTooLong),
        (400, {"error": {"message": "Your request exceeded model token limit: 8192"}}, ContextTooLong),
        (400, {"error": {"message": "Range of input length should be [1, 30720]"}}, ContextTooLong),
        (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, ModelNotFound),
        (403, {"code": "x", "error": "Your team doesn't have any credits yet."}, QuotaExceeded),
        (400, {"error": {"code": "Arrearage", "message": "Access denied"}}, QuotaExceeded),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "x"}}, QuotaExceeded),
        (429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}, QuotaExceeded),
        (429, {"error": {"type": "engine_overloaded_error"}}, ProviderOverloaded),
        (429, {"error": {"code": "1113", "message": "余额不足"}}, QuotaExceeded),
        (429, {"error": {"code": "1302", "message": "并发过高"}}, RateLimited),
        (
            400,
            {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
            QuotaExceeded,
        ),
        (403, {"error": {"message": "Your account has insufficient balance"}}, QuotaExceeded),
        (403, "nope", InvalidCredentials),
        (401, None, InvalidCredentials),
        (
            400,
            [{"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}],
            InvalidCredentials,
        ),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, InvalidCredentials),
        (422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, ProviderRejected),
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model"}, ModelNotFound),
        (400, {"error": "model is required"}, ProviderRejected),
        (404, {"error": "model 'x' not found"}, ModelNotFound),
        (404, {"detail": "Not Found"}, WrongAddress),
        (404, {"error": {"message": "Invalid URL (POST /v2/chat)"}}, WrongAddress),
        (
            404,
            {
                "error": {
                    "message": "Unknown request URL: GET /openai/v2/models. Please check the URL for typos, "
                    "or see the docs at https://console.groq.com/docs/",
                    "type": "invalid_request_error",
                    "code": "unknown_url",
                }
            },
            WrongAddress,
        ),
        (404, {"code": 5, "error": "url.not_found", "message": "没找到对象"}, WrongAddress),
        (400, "<html>400 The plain HTTP request was sent to HTTPS port", WrongAddress),
        (400, "Client sent an HTTP request to an HTTPS server.\n", WrongAddress),
        (400, "bad", ProviderRejected),
        (404, "<html>", WrongAddress),
        (404, "404 page not found", WrongAddress),
        (405, {"detail": "Method Not Allowed"}, WrongAddress),
        (302, "", WrongAddress),
        (408, {}, ProviderTimeout),
        (498, {}, ProviderOverloaded),
        (500, {"error": {"type": "api_error", "message": "Internal server error"}}, ProviderFailed),
        (500, {"error": {"message": "context length exceeded: too long"}}, ContextTooLong),
        (502, "<html>Bad gateway", ProviderFailed),
        (
            503,
            {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
            ProviderOverloaded,
        ),
        (504, None, ProviderTimeout),
        (524, None, ProviderTimeout),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            ProviderOverloaded,
        ),
        (
            418,
            {"error": {"message": {"deep": 1}, "code": {}, "type": 7.5, "details": "x", "metadata": []}},
            ProviderRejected,
        ),
        (418, {"error": [1, None, {"msg": "x"}]}, ProviderRejected),
        (418, [], ProviderRejected),
        (418, 7, ProviderRejected),
    ],
)
def test_an_error_body_of_any_shape_is_understood(status, body, kind):
    raw = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()

    fault = fault_of_response(status, {}, raw)

    assert type(fault) is kind
    assert fault.status == status


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, ProviderOverloaded),
        ({"error": {"code": 429, "message": "slow down"}}, RateLimited),
        (
            {"error": {"code": 400, "message": "the request exceeds the available context size"}},
            ContextTooLong,
        ),
        ({"error": {"code": "502", "message": "Upstream"}}, ProviderFailed),
        ({"error": "Unexpected endpoint or method. (GET /models)"}, WrongAddress),
        ({"error": {"message": "Tool", "code": "tool_use_failed", "status_code": 400}}, ProviderRejected),
        ({"error": "over_capacity"}, ProviderError),
        (
            {"error": {"code": 499, "message": "The operation was cancelled.", "status": "CANCELLED"}},
            ProviderRejected,
        ),
        ({"error": True}, ProviderError),
    ],
)
def test_an_error_in_a_stream_is_understood(payload, kind):
    assert type(fault_in_stream(payload)) is kind


@pytest.mark.parametrize(
    ("headers", "message", "payload", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", None, 1.5),
        ({"retry-after-ms": "0", "retry-after": "1"}, "", None, 1),
        ({"retry-after": "12"}, "", None, 12),
        ({"retry-after": "0.5"}, "", None, 0.5),
        ({"retry-after": "999999999"}, "", None, 3600),
        ({"retry-after": "-5"}, "", None, None),
        ({"retry-after": "soon"}, "", None, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", None, 0),
        ({}, "Please try again in 5.289s. Visit", None, 5.289),
        ({}, "Please try again in 1m2.5s.", None, 62.5),
        ({}, "try again in 20ms", None, 0.02),
        ({}, "Please retry in 48.5s", None, 48.5),
        ({}, "try again in a moment", None, None),
        ({}, "", {"error": {"details": [{"@type": "x"}, {"retryDelay": "48s"}]}}, 48),
        ({}, "", {"error": {"details": [{"retryDelay": "soon"}]}}, None),
        ({}, "", None, None),
    ],
)
def test_the_wait_is_read_wherever_it_is_given(headers, message, payload, seconds):
    assert retry_after(headers, message, payload) == seconds


def test_the_wait_may_be_a_date():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert 25 < (retry_after({"retry-after": date}) or 0) <= 30


def test_a_provider_that_says_not_to_try_again_is_believed():
    body = b'{"error":{"type":"rate_limit_error"}}'

    assert fault_of_response(429, {}, body).retryable
    assert not fault_of_response(429, {"x-should-retry": "false"}, body).retryable


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (
            {
                "message": "Unsupported parameter: 'max_tokens'",
                "code": "unsupported_parameter",
                "param": "max_tokens",
            },
            "max_tokens",
        ),
        (
            {"message": "Unsupported value: 'temperature' does not support 0.7", "code": "unsupported_value"},
            "temperature",
        ),
        ({"message": "invalid temperature: only 1 is allowed for this model"}, "temperature"),
        ({"message": "'temperature' must be between 0 and 2", "param": "temperature"}, ""),
        ({"message": "Unsupported parameter: 'messages'", "param": "messages"}, ""),
    ],
)
def test_a_parameter_that_is_not_taken_is_named(body, parameter):
    assert fault_of_response(400, {}, json.dumps({"error": body}).encode()).parameter == parameter


SUPERFLUOUS = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted", "input": "high"}


@pytest.mark.parametrize(
    ("status", "body", "parameter"),
    [
        (
            400,
            {"code": "x", "error": "Model grok-4 does not support parameter reasoningEffort."},
            "reasoning_effort",
        ),
        (
            422,
            {"message": {"detail": [{**SUPERFLUOUS, "loc": ["body", "reasoning_effort"]}]}, "type": "x"},
            "reasoning_effort",
        ),
        (
            422,
            {"detail": [{"type": "x", "loc": 1}, {**SUPERFLUOUS, "loc": ["body", "stream_options"]}]},
            "stream_options",
        ),
        (
            422,
            {"detail": [{**SUPERFLUOUS, "loc": ["body", "reasoning", "effort"]}]},
            "reasoning.effort",
        ),
        (422, {"detail": [{**SUPERFLUOUS, "loc": ["body", "messages"]}]}, ""),
        (422, {"detail": [{**SUPERFLUOUS, "loc": "body"}, None]}, ""),
        (422, {"detail": [{"type": "missing", "loc": ["body", "top_p"], "msg": "Field required"}]}, ""),
    ],
)
def test_a_parameter_that_is_not_taken_is_found_in_other_shapes(status, body, parameter):
    fault = fault_of_response(status, {}, json.dumps(body).encode())

    assert fault.parameter == parameter
    if status == 422:
        assert "Extra inputs" in fault.detail or not parameter


def test_anthropics_limit_of_a_month_does_not_pass_by_itself():
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"No."}}'

    assert not fault_of_response(429, {}, body).retryable
    assert fault_of_response(429, {"retry-after": "3"}, body).retryable
    assert fault_of_response(429, {}, b'{"error":{"type":"rate_limit_error"}}').retryable


NINES = "9" * 5000


@pytest.mark.parametrize(
    "said",
    [
        f"try again in {NINES}h",
        f"try again in {'9' * 400}h1.5s",
        f"try again in {'9' * 400}m",
        f"try again in {NINES}s",
        f"try again in 1.{NINES}s",
        "try again in ٣s",
    ],
)
def test_an_absurd_wait_in_words_is_no_wait(said):
    assert retry_after({}, said) in (None, 3600)


@pytest.mark.parametrize(
    "value", [NINES, "9" * 30, "inf", "nan", "1e999", "-1", "Mon, 99 Jan 99999999999 0:0:0"]
)
def test_an_absurd_wait_in_a_header_or_a_payload_is_none(value):
    info = {"error": {"details": [{"retryDelay": f"{value}s"}]}}

    for headers in ({"retry-after": value}, {"retry-after-ms": value}):
        assert retry_after(headers) in (None, 0, 3600)
    assert retry_after({}, payload=info) in (None, 3600)


def test_a_wait_with_many_decimals_is_understood():
    assert retry_after({}, "Please retry in 26.809847262999998s.") == pytest.approx(26.81, abs=0.01)


@pytest.mark.parametrize("key", ["message", "msg"])
def test_words_may_be_nested_deeply(key):
    nested: object = "hidden"
    for _ in range(900):
        nested = [{key: nested}] if key == "msg" else [nested]

    for payload in ({"error": {"message": nested}}, {"error": nested}, {"detail": nested}):
        assert isinstance(fault_in_stream(payload), ProviderError)


def test_words_are_looked_at_only_so_far():
    huge = "model " * 2_000_000

    begun = time.perf_counter()
    fault = fault_in_stream({"error": {"message": huge, "code": huge, "details": [{"reason": huge}] * 1000}})

    assert time.perf_counter() - begun < 1
    assert len(fault.detail) <= 500


def test_a_code_of_thousands_of_digits_is_no_code():
    assert fault_in_stream({"error": {"code": 10**5000, "message": "No."}}).detail == "No."
