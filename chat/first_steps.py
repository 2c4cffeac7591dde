"""What an empty account is offered beside the demo: a few providers to begin with, and a model at home."""

from django.utils.translation import get_language

from providers.registry import PROVIDERS
from providers.specs import ProviderSpec

# Whoever reads Chinese can most likely pay these, and reach them.
WITH_KEY = {
    "zh-hans": ("deepseek", "qwen", "zhipu", "moonshot", "openai"),
    "en": ("openai", "anthropic", "gemini", "deepseek", "openrouter"),
}
AT_HOME = ("ollama", "custom")


def offered() -> dict[str, list[ProviderSpec]]:
    with_key = WITH_KEY.get(get_language() or "", WITH_KEY["en"])
    return {
        "with_key": [PROVIDERS[name] for name in with_key],
        "at_home": [PROVIDERS[name] for name in AT_HOME],
    }
