"""The protocols as somebody else understands them: llmock, a mock server that was written elsewhere."""

import pytest
from llmock.scenarios import Fail, Reply, StreamFault
from llmock.testing import LLMockServer

from providers.base import ChatMessage, ChatRequest
from providers.errors import (
    BrokenStream,
    InvalidCredentials,
    ProviderFailed,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
)
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.transport import close_shared

from .reading import Read, over_http

# Our id, and the name of the base URL there.
PLACES = {
    "openai": "openai",
    "openai-responses": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "mistral": "mistral",
    "groq": "groq",
    "xai": "xai",
}
TEXT = "The blue whale is the largest animal. 蓝鲸是最大的动物。🐋"


@pytest.fixture(scope="module")
def mock():
    with LLMockServer() as server:
        yield server


@pytest.fixture(params=PLACES)
def provider(request, mock):
    mock.state.scenarios.clear()
    return request.param


async def ask(mock, provider) -> Read:
    spec = PROVIDERS[provider]
    access = ProviderAccess(spec, mock.base_url(PLACES[provider]), "test-key")
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", "What is the largest animal?"))
    got = await over_http(adapter_for(access), ChatRequest(spec.default_model, messages))
    await close_shared()
    return got


async def test_an_answer_is_read(mock, provider):
    mock.state.scenarios.add(Reply(text=TEXT))

    got = await ask(mock, provider)

    assert (got.text, got.finish, got.error) == (TEXT, "stop", None)
    # It tells Mistral's usage only where it is asked for, and Mistral is not asked.
    if provider != "mistral":
        assert got.usage and got.usage.input_tokens and got.usage.output_tokens


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        # Of OpenAI's responses not a word has come by then: that is empty, which is broken as well.
        ("truncate", BrokenStream),
        ("disconnect", BrokenStream),
        ("malformed", BrokenStream),
        ("stall", ProviderTimeout),
    ],
)
async def test_a_stream_that_breaks_is_never_taken_for_whole(mock, provider, kind, error, set_limits):
    # Only silence is to end by the clock: on a crowded machine the other ends can take their time.
    set_limits(idle_seconds=0.3 if kind == "stall" else 10)
    mock.state.scenarios.add(Reply(text=TEXT))
    mock.state.scenarios.add(StreamFault(kind, after_chunks=4, stall_seconds=30))

    got = await ask(mock, provider)

    assert isinstance(got.error, error)
    assert TEXT.startswith(got.text) and got.text != TEXT
    assert got.seconds < 15


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, InvalidCredentials),
        (429, RateLimited),
        (500, ProviderFailed),
        (503, ProviderOverloaded),
        (529, ProviderOverloaded),
    ],
)
async def test_a_refusal_is_understood(mock, provider, status, error):
    mock.state.scenarios.add(Fail(status, retry_after=60 if status != 401 else None))

    got = await ask(mock, provider)

    assert type(got.error) is error
    assert got.error.status == status


async def test_a_fault_that_passes_is_not_noticed(mock, provider):
    mock.state.scenarios.add(Fail(429, retry_after=0.05))
    mock.state.scenarios.add(Fail(529, retry_after=0.05))
    mock.state.scenarios.add(Reply(text=TEXT))

    got = await ask(mock, provider)

    assert (got.text, got.finish) == (TEXT, "stop")


async def test_models_are_listed(mock, provider):
    access = ProviderAccess(PROVIDERS[provider], mock.base_url(PLACES[provider]), "test-key")
    models = await adapter_for(access).list_models()
    await close_shared()

    assert len(models) > 1
    assert all(model.id and "/models/" not in model.id for model in models)
