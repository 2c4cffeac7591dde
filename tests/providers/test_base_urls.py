"""Base URLs as people paste them."""

import pytest
from django.core.exceptions import ValidationError

from providers.models import ProviderConfig
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.services import Changes, alter, checked_url

from .reading import over_http
from .test_docs import QUESTION
from .wire_server import plain, serving

HOST = "https://8.8.8.8"


def stored(provider: str, pasted: str) -> str:
    """Return the base URL that is stored for what somebody pasted."""
    row = ProviderConfig(provider=provider)
    alter(row, Changes(base_url=checked_url(pasted)))
    return row.base_url.removeprefix(HOST)


@pytest.mark.parametrize(
    ("provider", "pasted", "base"),
    [
        ("custom", "/v1", "/v1"),
        ("custom", "/v1/", "/v1"),
        ("custom", "/v1//", "/v1"),
        ("custom", "/v1/chat/completions", "/v1"),
        ("custom", "/v1/chat/completions/", "/v1"),
        ("custom", "/v1//chat/completions", "/v1"),
        ("custom", "/chat/completions", ""),
        ("custom", "/v1/models", "/v1"),
        ("custom", "/v1/completions", "/v1"),
        ("custom", "/v1/responses", "/v1"),
        ("custom", "/openai/v1/embeddings", "/openai/v1"),
        ("openai-responses", "/v1/responses", "/v1"),
        ("zhipu", "/api/paas/v4/chat/completions", "/api/paas/v4"),
        ("anthropic", "/v1/messages", ""),
        ("anthropic", "/proxy/v1/messages", "/proxy"),
        ("anthropic", "/anthropic/messages", "/anthropic"),
        ("anthropic", "/v1/models", ""),
        ("ollama", "/api/chat", ""),
        ("ollama", "/behind/api/generate", "/behind"),
        ("ollama", "/v1/chat/completions", ""),
        ("gemini", "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "/v1beta"),
        ("gemini", "/v1/models/gemini-2.5-pro:generateContent", "/v1"),
        ("gemini", "/v1beta/models", "/v1beta"),
        ("gemini", "/v1beta/openai/chat/completions", "/v1beta"),
        ("azure", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        # Nothing but a call's own path at the end is taken away.
        ("custom", "/models", "/models"),
        ("custom", "/chat/completions/v1", "/chat/completions/v1"),
        ("custom", "/my-models", "/my-models"),
        ("anthropic", "/messages-gateway", "/messages-gateway"),
        ("ollama", "/api/chatter", "/api/chatter"),
    ],
)
def test_a_pasted_endpoint_is_stored_as_its_base_url(provider, pasted, base):
    assert stored(provider, f" {HOST}{pasted} \n") == base


@pytest.mark.parametrize(
    ("provider", "pasted"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions"),
        ("anthropic", "https://api.anthropic.com/v1/messages"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/models/x:streamGenerateContent?alt=sse"),
        ("ollama", "http://localhost:11434/api/chat"),
    ],
)
def test_the_endpoint_of_a_providers_own_address_is_its_default(provider, pasted):
    assert stored(provider, pasted) == ""


@pytest.mark.parametrize(
    "query", ["?key=AIza-secret", "?alt=sse&key=AIza-secret", "?key=AIza-secret&alt=sse", "?alt=sse#x"]
)
def test_no_other_query_is_dropped_without_a_word(query):
    with pytest.raises(ValidationError):
        checked_url(f"{HOST}/v1beta/models/x:streamGenerateContent{query}")


@pytest.mark.parametrize(
    ("provider", "pasted"),
    [("custom", "/v1/chat/completions"), ("anthropic", "/v1/messages"), ("ollama", "/api/chat")],
)
async def test_the_endpoint_that_was_pasted_is_the_one_that_is_asked(provider, pasted):
    async with serving(plain(400, b"{}")) as server:
        base_url = server.url + stored(provider, HOST + pasted)
        access = ProviderAccess(PROVIDERS[provider], base_url, "sk-0123456789")
        got = await over_http(adapter_for(access), QUESTION)

    assert got.error.status == 400
    assert {request.path for request in server.requests} == {pasted}
