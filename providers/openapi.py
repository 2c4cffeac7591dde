"""What the operations of the provider API share in their description."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import OpenApiParameter

from chatproject.errors import Throttled
from providers import errors
from providers.registry import PROVIDERS
from providers.resolve import ProviderKeyUnreadable, ProviderNotConfigured
from providers.serializers import GIVEN
from providers.servers import ID_PATTERN

# A known provider, or a server that somebody has added.
PROVIDER_PATTERN = rf"^({'|'.join([*PROVIDERS, ID_PATTERN])})$"
PROVIDER = OpenApiParameter(
    "provider",
    {"type": "string", "pattern": PROVIDER_PATTERN},
    OpenApiParameter.PATH,
    description="The provider's id: " + ", ".join(f"`{id_}`" for id_ in PROVIDERS) + ", or `custom:<slug>`.",
)
SHARED = OpenApiParameter("shared", bool, description="The settings for everyone; staff only.")

# What may go wrong where a provider is asked something.
ASKING = (
    ProviderNotConfigured,
    ProviderKeyUnreadable,
    errors.AddressRefused,
    errors.AddressMalformed,
    Throttled,
    errors.InvalidCredentials,
    errors.QuotaExceeded,
    errors.AccessDenied,
    errors.RegionNotSupported,
    errors.ModelNotFound,
    errors.WrongAddress,
    errors.WrongVersion,
    errors.ProviderRejected,
    errors.ProviderUnavailable,
    errors.ProviderFailed,
    errors.BrokenStream,
    errors.AnswerTooLarge,
    errors.ProviderError,
    errors.ProviderOverloaded,
    errors.RateLimited,
    errors.ProviderTimeout,
)


class AccessExtension(OpenApiSerializerExtension):
    """Unknown fields are refused; those that only we can set are ignored when they are sent back."""

    target_class = "providers.serializers.AccessSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        if direction == "request":
            schema["properties"] |= {name: {"description": "Ignored."} for name in sorted(GIVEN)}
            schema["additionalProperties"] = False
        return schema
