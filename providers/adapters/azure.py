"""Azure OpenAI: chat completions, asked for by deployment and API version."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .openai import OpenAIAdapter
from .reading import NO_HEADERS, model_in_path

if TYPE_CHECKING:
    import httpx

# Where the base URL names none. The latest: models that are newer than a version refuse it.
API_VERSION = "2025-04-01-preview"
FOUNDRY_VERSION = "2024-05-01-preview"

# What the portal shows is a whole address, with a deployment in it; which one to ask is ours to say.
_DEPLOYMENT = re.compile(r"(/openai)?/deployments(/.*)?$|/openai$")
_CALL = re.compile(r"/(chat/completions|responses)$")


class AzureAdapter(OpenAIAdapter):
    """A resource's deployments, each taken as a model.

    The base URL is the resource's, `https://NAME.openai.azure.com`, or any address of it
    that the portal shows; an `?api-version=` behind it is used in place of ours. With
    `/openai/v1` the newer paths are used, where no version is given, and with `/models`
    those of Foundry.
    """

    def __init__(
        self,
        client: "httpx.AsyncClient | None",
        *,
        base_url: str,
        api_key: str,
        quirks: frozenset[str] = frozenset(),
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        address, _, query = base_url.partition("?")
        resource = _DEPLOYMENT.sub("", _CALL.sub("", address.rstrip("/")))
        super().__init__(client, base_url=resource, api_key=api_key, quirks=quirks, headers=headers)
        self._foundry = self._base_url.endswith("/models")
        default = "" if self._base_url.endswith("/v1") else FOUNDRY_VERSION if self._foundry else API_VERSION
        version = query.removeprefix("api-version=") or default
        self._query = f"?api-version={version}" if version else ""

    def _key_header(self, api_key: str) -> dict[str, str]:
        return {"api-key": api_key}

    def _chat_url(self, model: str) -> str:
        if self._foundry or self._base_url.endswith("/v1"):
            return f"{self._base_url}/chat/completions{self._query}"
        return f"{self._base_url}/openai/deployments/{model_in_path(model)}/chat/completions{self._query}"

    def _models_url(self) -> str:
        # What the resource could deploy: its deployments are not told to a key.
        if self._base_url.endswith("/v1"):
            return f"{self._base_url}/models{self._query}"
        if self._foundry:
            return f"{self._base_url.removesuffix('/models')}/openai/models?api-version={API_VERSION}"
        return f"{self._base_url}/openai/models{self._query}"
