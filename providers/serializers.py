"""What the provider API takes and gives. An API key is only ever taken."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from providers.base import ModelInfo
from providers.catalogue import Entry
from providers.models import ProviderConfig
from providers.registry import PROVIDERS
from providers.resolve import base_url_of
from providers.services import Changes, checked_key, checked_url
from providers.text import clean_text

# So many misspelt names are told.
MOST_UNKNOWN = 20
# What we give and nobody can set. A client may send back what it was given.
GIVEN = frozenset({"provider", "keyHint", "updatedAt"})
_NAMES = {"api_key": "apiKey", "base_url": "baseUrl"}


class AccessSerializer(serializers.Serializer[Any]):
    """How to reach a provider: an address and a key."""

    apiKey = serializers.CharField(required=False, allow_blank=True, write_only=True, max_length=5000)
    baseUrl = serializers.CharField(required=False, allow_blank=True, max_length=2100)

    def validate_apiKey(self, value: str) -> str:
        return _checked(checked_key, value)

    def validate_baseUrl(self, value: str) -> str:
        return _checked(checked_url, value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # A misspelt "api_key" that is silently left out would look like a success.
        unknown = set(self.initial_data) - set(self.fields) - GIVEN
        if unknown:
            raise serializers.ValidationError(
                {_shown(name): [_("There is no such field.")] for name in sorted(unknown)[:MOST_UNKNOWN]}
            )
        return attrs


class ConfigSerializer(AccessSerializer):
    defaultModel = serializers.CharField(required=False, allow_blank=True, max_length=200)
    enabled = serializers.BooleanField(required=False)

    def changes(self) -> Changes:
        given = self.validated_data
        return Changes(
            api_key=given.get("apiKey"),
            base_url=given.get("baseUrl"),
            default_model=given.get("defaultModel"),
            enabled=given.get("enabled"),
        )


class ConfigViewSerializer(serializers.Serializer[ProviderConfig]):
    provider = serializers.CharField()
    baseUrl = serializers.SerializerMethodField()
    defaultModel = serializers.CharField(source="default_model")
    enabled = serializers.BooleanField()
    keyHint = serializers.CharField(source="key_hint")
    updatedAt = serializers.DateTimeField(source="updated_at")

    def get_baseUrl(self, row: ProviderConfig) -> str:
        return base_url_of(PROVIDERS[row.provider], row)


class ProviderSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(source="spec.id")
    name = serializers.CharField(source="spec.name")
    configured = serializers.BooleanField()
    shared = serializers.BooleanField()
    requiresKey = serializers.BooleanField(source="spec.requires_key")
    defaultBaseUrl = serializers.CharField(source="spec.base_url")
    defaultModel = serializers.CharField(source="default_model")
    models = serializers.ListField(child=serializers.CharField(), source="spec.models")


class ProviderListSerializer(serializers.Serializer[Any]):
    providers = ProviderSerializer(many=True)


class PricesSerializer(serializers.Serializer[Any]):
    """US dollars per million tokens; what is not known is left out."""

    input = serializers.FloatField(required=False)
    cachedInput = serializers.FloatField(required=False)
    output = serializers.FloatField(required=False)


class ModelSerializer(serializers.Serializer[Any]):
    """A model as its provider lists it; what it does not say comes from the catalogue, if it is there."""

    id = serializers.CharField()
    name = serializers.CharField(required=False)
    contextWindow = serializers.IntegerField(required=False)
    maxOutputTokens = serializers.IntegerField(required=False)
    prices = PricesSerializer(required=False)


class ModelListSerializer(serializers.Serializer[Any]):
    models = ModelSerializer(many=True)


class TestedSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    latencyMs = serializers.IntegerField()


def model_shape(model: ModelInfo, known: Entry) -> dict[str, Any]:
    """Return a listed model with all that is known of it; `known` has the last word."""
    prices = _without_gaps(
        {
            "input": _number(known.input_price),
            "cachedInput": _number(known.cached_price),
            "output": _number(known.output_price),
        }
    )
    return _without_gaps(
        {
            "id": model.id,
            "name": model.name,
            "contextWindow": known.context_window,
            "maxOutputTokens": known.max_output_tokens,
            "prices": prices or None,
        }
    )


def _without_gaps(shape: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shape.items() if value is not None}


def _number(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def by_wire_name(exc: DjangoValidationError) -> serializers.ValidationError:
    """Return a service's refusal under the names that the API has for the fields."""
    fields = exc.message_dict
    return serializers.ValidationError({_NAMES.get(name, name): texts for name, texts in fields.items()})


def _shown(name: str) -> str:
    """Return a field's name as an answer can repeat it."""
    return clean_text(name[:100])


def _checked(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except DjangoValidationError as exc:
        raise serializers.ValidationError(exc.messages) from exc
