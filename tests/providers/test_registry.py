import pytest
from django.utils import translation

from providers.addresses import check_url
from providers.base import ChatMessage, ChatRequest
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.specs import SPECS

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
    ids = (
        "openai openai-responses anthropic gemini deepseek qwen zhipu moonshot mistral groq xai"
        " openrouter azure ollama custom demo"
    )

    assert [id_ for id_ in PROVIDERS if id_ in ids.split()] == ids.split()


def test_every_base_url_names_the_providers_page_about_it():
    for spec in PROVIDERS.values():
        assert bool(spec.source) is bool(spec.base_url), spec.id
        if spec.base_url:
            assert spec.source.startswith("https://"), spec.id


def test_no_two_providers_share_an_id_or_a_name_in_either_language():
    for language in ("en", "zh-hans"):
        with translation.override(language):
            names = [str(spec.name) for spec in PROVIDERS.values()]
        assert len(set(names)) == len(names), language
    assert len({spec.id for spec in SPECS}) == len(SPECS)


def test_the_providers_of_china_have_chinese_names():
    with translation.override("zh-hans"):
        names = {id_: str(spec.name) for id_, spec in PROVIDERS.items()}

    assert (names["qwen"], names["zhipu"], names["volcengine"]) == (
        "通义千问（阿里云百炼）",
        "智谱 GLM",
        "火山方舟（豆包）",
    )


def test_only_servers_at_home_and_the_demo_need_no_key():
    without_key = {spec.id for spec in PROVIDERS.values() if not spec.requires_key}

    assert without_key == {"ollama", "lmstudio", "vllm", "llamacpp", "custom", "demo"}


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
