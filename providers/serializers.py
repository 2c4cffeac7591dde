"""What the provider API takes and gives. An API key is only ever taken."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from providers import servers
from providers.base import ModelInfo
from providers.catalogue import Entry
from providers.headers import MOST_HEADERS
from providers.models import ProviderConfig
from providers.resolve import base_url_of
from providers.services import (
    TOO_MANY_HEADERS,
    Changes,
    checked_body,
    checked_headers,
    checked_key,
    checked_server_name,
    checked_url,
)
from providers.text import shown_name

T = TypeVar("T")
# Twice as many as may be stored: all of them taken away, and as many others in their place.
MOST_GIVEN_HEADERS = 2 * MOST_HEADERS
# So many misspelt names are told.
MOST_UNKNOWN = 20
# What we give and nobody can set. A client may send back what it was given.
GIVEN = frozenset({"provider", "keyHint", "headerNames", "updatedAt"})
_NAMES = {"api_key": "apiKey", "base_url": "baseUrl", "extra_body": "extraBody"}


class HeadersField(serializers.DictField):
    """Header names and their values; `null` or an empty value takes a header away."""

    child = serializers.CharField(allow_blank=True, allow_null=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict) and len(data) > MOST_GIVEN_HEADERS:
            raise serializers.ValidationError(TOO_MANY_HEADERS)
        if not isinstance(data, dict) or not all(isinstance(value, str | None) for value in data.values()):
            raise serializers.ValidationError(_("Give an object of names and texts."))
        return _checked(checked_headers, data)


class ExtraBodyField(serializers.JSONField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        return _checked(checked_body, data)


class AccessSerializer(serializers.Serializer[Any]):
    """How to reach a provider: an address, a key, and what else it wants."""

    apiKey = serializers.CharField(required=False, allow_blank=True, write_only=True, max_length=5000)
    baseUrl = serializers.CharField(required=False, allow_blank=True, max_length=2100)
    protocol = serializers.ChoiceField(required=False, choices=list(servers.PROTOCOLS))
    headers = HeadersField(required=False, write_only=True)
    extraBody = ExtraBodyField(required=False)
    defaultModel = serializers.CharField(required=False, allow_blank=True, max_length=200)

    def validate_apiKey(self, value: str) -> str:
        return _checked(checked_key, value)

    def validate_baseUrl(self, value: str) -> str:
        return _checked(checked_url, value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # A misspelt "api_key" that is silently left out would look like a success.
        unknown = set(self.initial_data) - set(self.fields) - GIVEN
        if unknown:
            raise serializers.ValidationError(
                {shown_name(name): [_("There is no such field.")] for name in sorted(unknown)[:MOST_UNKNOWN]}
            )
        return attrs

    def changes(self) -> Changes:
        given = self.validated_data
        return Changes(
            api_key=given.get("apiKey"),
            base_url=given.get("baseUrl"),
            default_model=given.get("defaultModel"),
            enabled=given.get("enabled"),
            name=given.get("name"),
            protocol=given.get("protocol"),
            headers=given.get("headers"),
            extra_body=given.get("extraBody"),
        )


class ConfigSerializer(AccessSerializer):
    name = serializers.CharField(required=False, trim_whitespace=False, max_length=1000)
    enabled = serializers.BooleanField(required=False)

    def validate_name(self, value: str) -> str:
        return _checked(checked_server_name, value)


class ConfigViewSerializer(serializers.Serializer[ProviderConfig]):
    """Settings as they are stored. `name` and `protocol` are those of a server of one's own."""

    provider = serializers.CharField()
    name = serializers.CharField(required=False)
    protocol = serializers.ChoiceField(required=False, choices=list(servers.PROTOCOLS))
    baseUrl = serializers.SerializerMethodField()
    defaultModel = serializers.CharField(source="default_model")
    enabled = serializers.BooleanField()
    keyHint = serializers.CharField(source="key_hint")
    headerNames = serializers.ListField(child=serializers.CharField(), source="header_names")
    extraBody = serializers.DictField(source="extra_body")
    updatedAt = serializers.DateTimeField(source="updated_at")

    def get_baseUrl(self, row: ProviderConfig) -> str:
        return base_url_of(row.spec, row) if row.spec else row.base_url

    def to_representation(self, row: ProviderConfig) -> dict[str, Any]:
        shape: dict[str, Any] = super().to_representation(row)
        if not row.is_server:
            del shape["name"], shape["protocol"]
        return shape


class ProviderSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(source="spec.id")
    name = serializers.CharField(source="spec.name")
    protocol = serializers.CharField(source="spec.protocol")
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
    retiresOn = serializers.DateField(required=False)


class ModelListSerializer(serializers.Serializer[Any]):
    models = ModelSerializer(many=True)


class TestedSerializer(serializers.Serializer[Any]):
    """The models are those that the provider lists; none where it has no list."""

    ok = serializers.BooleanField()
    latencyMs = serializers.IntegerField()
    models = ModelSerializer(many=True)


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
            "retiresOn": known.retires and known.retires.isoformat(),
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


def _checked(check: Callable[[Any], T], value: Any) -> T:
    try:
        return check(value)
    except DjangoValidationError as exc:
        raise serializers.ValidationError(exc.messages) from exc
