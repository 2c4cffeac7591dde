"""Whom we can talk to. Adding a provider that speaks a protocol we know is an entry here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .adapters import openai
from .adapters.anthropic import AnthropicAdapter
from .adapters.azure import AzureAdapter
from .adapters.demo import MODELS as DEMO_MODELS
from .adapters.demo import DemoAdapter
from .adapters.gemini import GeminiAdapter
from .adapters.ollama import OllamaAdapter
from .adapters.openai import OpenAIAdapter
from .adapters.responses import ResponsesAdapter
from .base import Adapter

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider as it is before anybody stored a key for it."""

    id: str
    name: str
    protocol: str
    # Empty where the user has to say it.
    base_url: str = ""
    default_model: str = ""
    requires_key: bool = True
    # A few to begin with; the full list comes from the provider.
    models: tuple[str, ...] = ()
    # Where its customers make their keys.
    key_page: str = ""
    # What it does differently from its protocol, by the names in the adapter's module.
    quirks: frozenset[str] = frozenset()
    # A server that one person has added: what staff say of models is not about it.
    personal: bool = False


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """A provider together with somebody's key for it."""

    spec: ProviderSpec
    base_url: str
    api_key: str = field(repr=False)
    default_model: str = ""
    # What the settings add to each request; headers are as secret as the key.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict, repr=False)


_SPECS = (
    ProviderSpec(
        id="openai",
        name="OpenAI",
        protocol="openai",
        base_url="https://api.openai.com/v1",
        key_page="https://platform.openai.com/api-keys",
        default_model="gpt-5-mini",
        models=("gpt-5.2", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini"),
        quirks=frozenset({openai.MAX_COMPLETION_TOKENS, openai.FIXED_TEMPERATURE, openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="openai-responses",
        name="OpenAI (responses)",
        protocol="responses",
        base_url="https://api.openai.com/v1",
        key_page="https://platform.openai.com/api-keys",
        default_model="gpt-5-mini",
        models=("gpt-5.2", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini"),
        quirks=frozenset({openai.FIXED_TEMPERATURE, openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="anthropic",
        name="Anthropic",
        protocol="anthropic",
        base_url="https://api.anthropic.com",
        key_page="https://console.anthropic.com/settings/keys",
        default_model="claude-sonnet-4-5",
        models=("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"),
    ),
    ProviderSpec(
        id="gemini",
        name="Google Gemini",
        protocol="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_page="https://aistudio.google.com/apikey",
        default_model="gemini-2.5-flash",
        models=("gemini-2.5-flash", "gemini-2.5-pro"),
    ),
    ProviderSpec(
        id="deepseek",
        name="DeepSeek",
        protocol="openai",
        base_url="https://api.deepseek.com",
        key_page="https://platform.deepseek.com/api_keys",
        default_model="deepseek-v4-flash",
        models=("deepseek-v4-flash", "deepseek-v4-pro"),
    ),
    ProviderSpec(
        id="qwen",
        name="Qwen (DashScope)",
        protocol="openai",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        key_page="https://bailian.console.aliyun.com/?tab=model#/api-key",
        default_model="qwen-plus",
        models=("qwen-plus", "qwen-max", "qwen-flash"),
    ),
    ProviderSpec(
        id="zhipu",
        name="Zhipu GLM",
        protocol="openai",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        key_page="https://open.bigmodel.cn/usercenter/apikeys",
        default_model="glm-4.6",
        models=("glm-4.6", "glm-4.5", "glm-4.5-air"),
    ),
    ProviderSpec(
        id="moonshot",
        name="Moonshot Kimi",
        protocol="openai",
        base_url="https://api.moonshot.cn/v1",
        key_page="https://platform.moonshot.cn/console/api-keys",
        default_model="kimi-latest",
        models=("kimi-latest", "kimi-k2-0905-preview"),
    ),
    ProviderSpec(
        id="mistral",
        name="Mistral",
        protocol="openai",
        base_url="https://api.mistral.ai/v1",
        key_page="https://console.mistral.ai/api-keys",
        default_model="mistral-large-latest",
        models=("mistral-large-latest", "mistral-small-latest", "magistral-medium-latest"),
        quirks=frozenset({openai.NO_STREAM_OPTIONS}),
    ),
    ProviderSpec(
        id="groq",
        name="Groq",
        protocol="openai",
        base_url="https://api.groq.com/openai/v1",
        key_page="https://console.groq.com/keys",
        default_model="openai/gpt-oss-120b",
        models=("openai/gpt-oss-120b", "openai/gpt-oss-20b", "llama-3.3-70b-versatile"),
        quirks=frozenset({openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="xai",
        name="xAI",
        protocol="openai",
        base_url="https://api.x.ai/v1",
        key_page="https://console.x.ai",
        default_model="grok-4-1-fast-non-reasoning",
        models=("grok-4", "grok-4-1-fast-reasoning", "grok-4-1-fast-non-reasoning"),
        quirks=frozenset({openai.SEVERAL_KINDS}),
    ),
    ProviderSpec(
        id="openrouter",
        name="OpenRouter",
        protocol="openai",
        base_url="https://openrouter.ai/api/v1",
        key_page="https://openrouter.ai/settings/keys",
        default_model="openrouter/auto",
        models=("openrouter/auto", "deepseek/deepseek-v4-flash", "openai/gpt-oss-120b"),
    ),
    ProviderSpec(
        id="azure",
        name="Azure OpenAI",
        protocol="azure",
        key_page="https://portal.azure.com",
        quirks=frozenset({openai.MAX_COMPLETION_TOKENS, openai.FIXED_TEMPERATURE}),
    ),
    ProviderSpec(
        id="ollama",
        name="Ollama",
        protocol="ollama",
        base_url="http://localhost:11434",
        requires_key=False,
    ),
    ProviderSpec(id="custom", name="OpenAI-compatible server", protocol="openai", requires_key=False),
    ProviderSpec(
        id="demo",
        name="Demo",
        protocol="demo",
        default_model=DEMO_MODELS[0],
        requires_key=False,
        models=DEMO_MODELS,
    ),
)
PROVIDERS: dict[str, ProviderSpec] = {spec.id: spec for spec in _SPECS}


# The protocols that want to be told how long an answer may be.
NEED_LIMIT = frozenset({"anthropic"})
# And those that read only the end of a long question unless they are told how much the model takes.
NEED_WINDOW = frozenset({"ollama"})

# Protocol to adapter.
_ADAPTERS: dict[str, Callable[..., Adapter]] = {
    "openai": OpenAIAdapter,
    "responses": ResponsesAdapter,
    "azure": AzureAdapter,
    "anthropic": AnthropicAdapter,
    "gemini": GeminiAdapter,
    "ollama": OllamaAdapter,
    "demo": lambda client, **access: DemoAdapter(),
}


def adapter_for(access: ProviderAccess, client: "httpx.AsyncClient | None" = None) -> Adapter:
    """Return the provider, ready to be asked, over the client given or the process's shared one.

    Can be called on any thread: the shared client is looked up when it is used.
    """
    spec = access.spec
    # An adapter that has no use for one of these need not know it.
    options = {"quirks": spec.quirks, "headers": access.headers}
    given = {name: option for name, option in options.items() if option}
    return _ADAPTERS[spec.protocol](client, base_url=access.base_url, api_key=access.api_key, **given)
