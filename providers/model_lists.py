"""The lists of models that providers gave, kept for some minutes for the person who asked."""

from typing import Any

from django.core.cache import cache

from providers import crypto, entries
from providers.base import ModelInfo
from providers.catalogue import Entries, Entry
from providers.registry import ProviderAccess
from providers.serializers import model_shape
from providers.specs import ProviderSpec

KEPT_SECONDS = 300

Models = list[dict[str, Any]]


def shapes(spec: ProviderSpec, listed: list[ModelInfo], said: Entries) -> Models:
    """Return models with all that is known of them, as the API gives them."""
    known = (
        entries.known(spec.id, model.id, said, Entry(context_window=model.context_window)) for model in listed
    )
    return [model_shape(model, entry) for model, entry in zip(listed, known, strict=True)]


def kept(user_id: int | None, access: ProviderAccess, said: Entries) -> Models | None:
    """Return the list that a provider gave this user lately, by the same settings."""
    found: Models | None = cache.get(_name(user_id, access, said))
    return found


def keep(user_id: int | None, access: ProviderAccess, said: Entries, listed: list[ModelInfo]) -> Models:
    models = shapes(access.spec, listed, said)
    cache.set(_name(user_id, access, said), models, KEPT_SECONDS)
    return models


def _name(user_id: int | None, access: ProviderAccess, said: Entries) -> str:
    # The secrets are only there to tell one list from another, and cannot be read out of this.
    spec = access.spec
    asked = (spec.id, spec.protocol, access.base_url, access.api_key, repr(sorted(access.headers.items())))
    parts = (str(user_id), *asked, repr(sorted(said.items())))
    return f"models:{crypto.fingerprint(chr(0).join(parts))}"
