"""Three protocols against a real language model, and its slots when somebody leaves."""

import asyncio

import pytest

from providers.base import ChatMessage, ChatRequest
from providers.errors import ContextTooLong, WrongAddress
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.transport import close_shared

from .reading import over_http


@pytest.fixture(params=["custom", "openai-responses", "anthropic"])
def adapter(request, real_model):
    return adapter_for(ProviderAccess(PROVIDERS[request.param], real_model.base_url, "no-key"))


def question(real_model, text, most=None):
    turns = (("system", "You are kind."), ("user", "Hi"), ("assistant", "Hello!"), ("user", text))
    return ChatRequest(real_model.name, tuple(ChatMessage(*turn) for turn in turns), max_output_tokens=most)


@pytest.mark.parametrize("text", ["Say hello in one short sentence.", "用一句话介绍你自己。"])
async def test_it_answers(adapter, real_model, text):
    got = await over_http(adapter, question(real_model, text, most=40))
    await close_shared()

    assert got.text.strip()
    assert got.finish in ("stop", "length")
    # Now and then this server leaves out the event that tells Anthropic's input tokens.
    assert got.usage and (got.usage.input_tokens is None or got.usage.input_tokens > 20)
    assert 0 < got.usage.output_tokens <= 41


async def test_it_takes_the_marks_of_what_to_keep(real_model):
    adapter = adapter_for(ProviderAccess(PROVIDERS["anthropic"], real_model.base_url, ""))
    messages = (ChatMessage("system", "You are kind.", keep=True), ChatMessage("user", "Hi", keep=True))
    got = await over_http(adapter, ChatRequest(real_model.name, messages, max_output_tokens=3))
    await close_shared()

    assert got.text.strip()


@pytest.mark.parametrize("provider", ["custom", "anthropic"])
async def test_it_says_that_it_was_cut_short(provider, real_model):
    # Over responses this server calls a cut answer complete, so there is nothing to tell.
    adapter = adapter_for(ProviderAccess(PROVIDERS[provider], real_model.base_url, ""))
    got = await over_http(adapter, question(real_model, "Tell me a long story about the sea.", most=5))
    await close_shared()

    assert got.finish == "length"
    assert got.usage.output_tokens <= 6


@pytest.mark.parametrize("how", ["closing", "cancelling"])
async def test_it_stops_computing_when_one_leaves(adapter, real_model, how):
    parts = adapter.stream(question(real_model, "Write a very long story about the sea.", most=1500))
    for _ in range(5):
        await anext(parts)
    assert real_model.busy_slots() > 0

    if how == "closing":
        await parts.aclose()
    else:
        task = asyncio.create_task(_read_on(parts))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    assert await asyncio.to_thread(real_model.wait_until_idle) < 1
    await close_shared()


async def _read_on(parts):
    async for _ in parts:
        pass


async def test_a_conversation_too_long_is_told_as_such(real_model):
    adapter = adapter_for(ProviderAccess(PROVIDERS["custom"], real_model.base_url, ""))
    got = await over_http(adapter, question(real_model, "word " * 20_000))
    await close_shared()

    assert isinstance(got.error, ContextTooLong)


async def test_a_base_url_without_its_version_is_told_as_such(real_model):
    adapter = adapter_for(ProviderAccess(PROVIDERS["custom"], f"{real_model.root_url}/nowhere", ""))
    got = await over_http(adapter, question(real_model, "Hi"))
    await close_shared()

    assert isinstance(got.error, WrongAddress)


async def test_it_is_listed(adapter, real_model):
    models = await adapter.list_models()
    await close_shared()

    assert real_model.name in {model.id for model in models}
