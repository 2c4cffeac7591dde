import pytest

from providers.addresses import check_url
from providers.base import ChatMessage, ChatRequest
from providers.registry import PROVIDERS, ProviderAccess, adapter_for

from .reading import over_http
from .wire_server import replay, serving


def test_every_provider_can_be_shown_and_asked():
    for id_, spec in PROVIDERS.items():
        assert id_ == spec.id
        assert spec.name
        if spec.base_url:
            assert check_url(spec.base_url, allow_private=True) == spec.base_url
        if spec.models:
            assert spec.default_model in spec.models
        assert adapter_for(ProviderAccess(spec, spec.base_url or "https://example.com", "k"))


def test_every_provider_of_the_contract_is_there_in_its_order():
    ids = """openai openai-responses anthropic gemini deepseek qwen zhipu moonshot mistral groq xai
        openrouter azure ollama custom demo"""

    assert list(PROVIDERS) == ids.split()


def test_those_that_need_no_key_are_known():
    assert {spec.id for spec in PROVIDERS.values() if not spec.requires_key} == {
        "ollama",
        "custom",
        "demo",
    }


def test_a_key_is_never_shown():
    access = ProviderAccess(PROVIDERS["openai"], "https://api.openai.com/v1", "sk-very-secret")

    assert "secret" not in repr(access)
    assert "secret" not in str(access)


@pytest.mark.parametrize("id_", [spec.id for spec in PROVIDERS.values() if spec.protocol == "openai"])
async def test_every_compatible_provider_is_asked_the_same_way(id_):
    answer = replay([b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'])
    async with serving(answer) as server:
        adapter = adapter_for(ProviderAccess(PROVIDERS[id_], f"{server.url}/base", "k"))
        got = await over_http(adapter, ChatRequest("m", (ChatMessage("user", "Hi"),)))

    assert (got.text, got.finish) == ("Hi", "stop")
    assert server.requests[0].path == "/base/chat/completions"
    assert ("stream_options" in server.requests[0].json) is (id_ != "mistral")
