"""What the operations of the provider API share in their description."""

from drf_spectacular.utils import OpenApiParameter

from chatproject.errors import Throttled
from providers import errors
from providers.registry import PROVIDERS
from providers.resolve import ProviderKeyUnreadable, ProviderNotConfigured

PROVIDER = OpenApiParameter(
    "provider", str, OpenApiParameter.PATH, enum=list(PROVIDERS), description="The provider's id."
)
SHARED = OpenApiParameter("shared", bool, description="The settings for everyone; staff only.")

# What may go wrong where a provider is asked something.
ASKING = (
    ProviderNotConfigured,
    ProviderKeyUnreadable,
    errors.AddressRefused,
    Throttled,
    errors.InvalidCredentials,
    errors.QuotaExceeded,
    errors.ModelNotFound,
    errors.WrongAddress,
    errors.ProviderRejected,
    errors.ProviderUnavailable,
    errors.BrokenStream,
    errors.ProviderError,
    errors.ProviderOverloaded,
    errors.RateLimited,
    errors.ProviderTimeout,
)
