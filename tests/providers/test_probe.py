"""What a test tells of a provider that does not answer as it should."""

import json
from typing import Any

import pytest

from providers.errors import (
    InvalidCredentials,
    ModelNotFound,
    ProviderFailed,
    ProviderRejected,
    QuotaExceeded,
    WrongAddress,
)
from providers.probe import probe
from providers.registry import PROVIDERS, ProviderAccess

from .wire_server import plain, replay, serving

HI = [b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
UNEXPECTED = {"error": "Unexpected endpoint or method. (GET /models)"}


def json_(body: Any, status: int = 200) -> Any:
    return plain(status, body if isinstance(body, bytes) else json.dumps(body).encode())


async def failure(provider: str, listed: Any, asked: Any = None, *, model: str = "m") -> Any:
    """Return the class of what is told where the list and the question are answered like this."""

    async def answer(wire: Any) -> None:
        await (listed if wire.request.method == "GET" else asked or listed)(wire)

    async with serving(answer) as server:
        access = ProviderAccess(PROVIDERS[provider], server.url, "sk-0123456789", model)
        try:
            await probe(access)
        except Exception as exc:
            return type(exc)
    return None


@pytest.mark.parametrize("model", ["", "m"])
@pytest.mark.parametrize(
    "provider", ["openai", "openai-responses", "anthropic", "gemini", "ollama", "custom", "azure"]
)
@pytest.mark.parametrize(
    "body",
    [UNEXPECTED, {"status": "ok"}, {}, [], b"OK", b"<html>", b"null", 7],
    ids=lambda body: str(body)[:12],
)
async def test_something_else_that_answers_well_is_a_wrong_address(provider, body, model):
    assert await failure(provider, json_(body), model=model) is WrongAddress


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama"])
async def test_a_wrong_key_told_in_a_200_is_a_wrong_key(provider):
    body = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}

    assert await failure(provider, json_(body)) is InvalidCredentials


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unknown request URL: GET /v2/models.", "code": "unknown_url"}},
        {"error": "url.not_found", "code": 5},
        {"error": {"message": "There is nothing by this name.", "code": "not_found"}},
        b"",
    ],
    ids=lambda body: str(body)[:30],
)
async def test_a_list_that_is_not_there_is_no_missing_model(body):
    assert await failure("openai", json_(body, 404), model="") is WrongAddress


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (replay(HI), None),
        (json_(UNEXPECTED), WrongAddress),
        (json_({"status": "ok"}), WrongAddress),
        (json_({"error": {"message": "No such key", "code": "invalid_api_key"}}, 401), InvalidCredentials),
        (json_({"error": {"message": "No credits", "code": "insufficient_quota"}}, 429), QuotaExceeded),
        (json_({"error": {"message": "The model m does not exist"}}, 404), ModelNotFound),
        (json_({"error": {"message": "messages: too few"}}, 400), ProviderRejected),
        (json_({"error": {"message": "Oh"}}, 500), ProviderFailed),
    ],
    ids=["answer", "no such path", "no answer", "key", "quota", "model", "question", "fault"],
)
async def test_the_question_decides_where_there_is_no_list(asked, told):
    assert await failure("custom", json_(UNEXPECTED), asked) is told
