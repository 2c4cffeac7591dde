"""Azure OpenAI: chat completions, asked for by deployment and API version."""

from urllib.parse import urlsplit

from .openai import OpenAIAdapter
from .reading import model_in_path

# The latest that is generally available on paths with a deployment; the newer paths need none.
API_VERSION = "2024-10-21"


class AzureAdapter(OpenAIAdapter):
    """A resource's deployments, each taken as a model.

    The base URL is the resource's, `https://NAME.openai.azure.com`. With
    `/openai/v1` behind it the newer paths are used, where no version is given.
    """

    def _key_header(self, api_key: str) -> dict[str, str]:
        return {"api-key": api_key}

    @property
    def _versioned(self) -> bool:
        return not urlsplit(self._base_url).path.endswith("/v1")

    def _chat_url(self, model: str) -> str:
        if not self._versioned:
            return f"{self._base_url}/chat/completions"
        root = self._base_url.removesuffix("/openai")
        return f"{root}/openai/deployments/{model_in_path(model)}/chat/completions?api-version={API_VERSION}"

    def _models_url(self) -> str:
        # What the resource could deploy: its deployments are not told to a key.
        if not self._versioned:
            return f"{self._base_url}/models"
        return f"{self._base_url.removesuffix('/openai')}/openai/models?api-version={API_VERSION}"
