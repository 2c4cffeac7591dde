"""Bodies that chat endpoints answer with: the class of each, and how often its provider is asked."""

import json
from pathlib import Path

import pytest

from providers import retries
from providers.base import ChatMessage, ChatRequest
from providers.error_mapping import fault_in_stream, fault_of_response, tells_error
from providers.registry import PROVIDERS, ProviderAccess, adapter_for

from .reading import over_http
from .wire_server import plain, replay, serving

CASES = json.loads((Path(__file__).parents[1] / "data" / "error-bodies.json").read_text())["cases"]
QUESTION = ChatRequest(model="m", messages=(ChatMessage("user", "Hi"),))


async def asked(case, answer):
    async with serving(answer) as server:
        spec = PROVIDERS[case["provider"]]
        got = await over_http(adapter_for(ProviderAccess(spec, server.url, "sk-the-key-0123")), QUESTION)
        return got.error, len(server.requests)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_each_body_gets_its_class_and_is_not_asked_in_vain(case, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0)

    fault, times = await asked(case, plain(case["status"], json.dumps(case["body"]).encode()))

    assert fault.code == case["code"]
    assert times == case.get("asked", times)
    assert fault.retryable is (times > 1)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["status"] == 200], ids=lambda case: case["name"]
)
async def test_an_error_with_status_200_may_be_an_event(case):
    fault, times = await asked(case, replay([b"data: %b\n\n" % json.dumps(case["body"]).encode()]))

    assert (fault.code, times) == (case["code"], 1)
    assert fault.words


def of(status, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fault_of_response(status, {}, raw).code


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, b"", "invalid_credentials"),
        (403, {"error": {"message": "Forbidden"}}, "invalid_credentials"),
        (
            403,
            {"error": {"message": "Permission denied", "status": "PERMISSION_DENIED"}},
            "invalid_credentials",
        ),
        (
            403,
            {"error": {"code": "unsupported_country_region_territory", "message": "Country not supported"}},
            "region_not_supported",
        ),
        (
            400,
            {"error": {"message": "User location is not supported for the API use.", "status": "X"}},
            "region_not_supported",
        ),
        (403, {"error": {"type": "forbidden", "message": "Request not allowed"}}, "provider_access_denied"),
        (403, {"error": {"message": "Your IP address is not in the whitelist"}}, "provider_access_denied"),
        (403, b"<!DOCTYPE html><title>Attention Required!</title>", "provider_access_denied"),
        (401, b"<html><title>401</title></html>", "invalid_credentials"),
        (403, {"error": "Content violates usage guidelines. Failed check: X"}, "content_blocked"),
        (403, {"error": {"message": "该令牌无权访问模型 gpt-6", "code": "access_denied"}}, "model_not_found"),
        (
            403,
            {"error": {"type": "key_model_access_denied", "message": "x", "code": "403"}},
            "model_not_found",
        ),
        (403, {"code": "AccessDenied.Unpurchased", "message": "Access to model denied."}, "model_not_found"),
        (
            403,
            {"error": {"type": "permission_error", "message": "The key does not have access to model m"}},
            "model_not_found",
        ),
        (403, {"code": "AllocationQuota.FreeTierOnly", "message": "x"}, "provider_quota_exceeded"),
        (403, {"error": {"code": "OperationDenied.ServiceOverdue"}}, "provider_quota_exceeded"),
        (429, {"error": {"message": "余额不足"}}, "provider_quota_exceeded"),
        (429, {"error": {"type": "budget_exceeded", "code": "429"}}, "provider_quota_exceeded"),
        (429, {"error": {"code": "RateLimitExceeded.EndpointRPMExceeded"}}, "provider_rate_limited"),
        (503, {"error": {"message": "无可用渠道", "type": "one_api_error"}}, "model_not_found"),
        (503, {"error": {"message": "No available channel for model m"}}, "model_not_found"),
        (503, b"upstream connect error", "provider_overloaded"),
        (404, b"model 'm' not found, try pulling it first", "model_not_found"),
        (401, {"error": {"type": "authorized_error", "message": "login fail (1004)"}}, "invalid_credentials"),
        (400, {"error": {"message": "模型 gpt-6 不存在"}}, "model_not_found"),
        (400, {"Response": {"Error": {"Code": "AuthFailure.X", "Message": "x"}}}, "invalid_credentials"),
    ],
)
def test_neighbours_of_these_get_theirs(status, body, code):
    assert of(status, body) == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (
            {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None},
            "provider_rate_limited",
        ),
        ({"header": {"code": 10013, "message": "审核", "sid": "x"}}, "content_blocked"),
        ({"code": 10907, "message": "token over max", "sid": "x"}, "context_too_long"),
        ({"error_code": 336103, "error_msg": "prompt tokens too long", "id": "x"}, "context_too_long"),
        ({"ErrorMsg": {"Code": "LimitExceeded", "Msg": "slow"}}, "provider_rate_limited"),
        (
            {"Response": {"Error": {"Code": "FailedOperation.ResourcePackExhausted", "Message": "x"}}},
            "provider_quota_exceeded",
        ),
        ({"code": "InvalidApiKey", "message": "Invalid API-key provided."}, "invalid_credentials"),
        ({"code": 99999, "message": "nobody knows"}, "provider_error"),
    ],
)
def test_an_error_that_stands_under_no_key_of_its_own_is_one(payload, code):
    assert tells_error(payload)
    fault = fault_in_stream(payload)
    assert fault.code == code
    assert fault.words


@pytest.mark.parametrize(
    "payload",
    [
        {"code": 0, "message": "Success", "sid": "x", "choices": [{"delta": {"content": "a"}}]},
        {"code": 0, "message": "Success", "usage": {}},
        {"base_resp": {"status_code": 0, "status_msg": ""}, "choices": [{}]},
        {"base_resp": {"status_code": 0, "status_msg": ""}, "usage": {}},
        {"code": 200, "message": "ok", "data": []},
        {"success": True, "message": "", "data": []},
        {"model": "m", "message": {"content": "a"}, "done": False},
        {"error": None, "code": None, "message": None, "choices": []},
        {"type": "response.x", "code": "x", "message": "y"},
    ],
)
def test_a_piece_of_an_answer_is_none(payload):
    assert not tells_error(payload)
