"""The providers by their id, and the adapter for each protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .adapters.anthropic import AnthropicAdapter
from .adapters.azure import AzureAdapter
from .adapters.demo import DemoAdapter
from .adapters.gemini import GeminiAdapter
from .adapters.ollama import OllamaAdapter
from .adapters.openai import OpenAIAdapter
from .adapters.responses import ResponsesAdapter
from .base import Adapter
from .specs import SPECS, ProviderSpec

if TYPE_CHECKING:
    import httpx


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


PROVIDERS: dict[str, ProviderSpec] = {spec.id: spec for spec in SPECS}


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
