"""The provider API: what there is, one's own settings, and whether they work."""

from functools import partial
from typing import Any

from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.exceptions import ValidationError as InvalidParameter
from rest_framework.request import Request
from rest_framework.response import Response

from chatproject import limits
from chatproject.api import AsyncAPIView, Continuation
from chatproject.db import in_db
from chatproject.errors import ApiError
from chatproject.openapi import InvalidInput, NotAllowed, responses
from providers import crypto, entries, services
from providers.base import ModelInfo
from providers.catalogue import Entries, Entry
from providers.models import ProviderConfig
from providers.openapi import ASKING, PROVIDER, SHARED
from providers.probe import access_to_try, asking, count_test, probe
from providers.registry import PROVIDERS, ProviderAccess, ProviderSpec, adapter_for
from providers.resolve import (
    ProviderNotConfigured,
    ProviderUnknown,
    choose,
    resolve,
    spec_of,
)
from providers.serializers import (
    AccessSerializer,
    ConfigSerializer,
    ConfigViewSerializer,
    ModelListSerializer,
    ProviderListSerializer,
    ProviderSerializer,
    TestedSerializer,
    by_wire_name,
    model_shape,
)

# Each makes this server call another one.
MODELS_RATE = "30/m"
MODELS_SECONDS = 30
MODELS_KEPT_SECONDS = 300


class NoSuchProvider(ProviderUnknown):
    status_code = 404


class NoConfig(ProviderNotConfigured):
    status_code = 404


class NeedsNoConfig(ApiError):
    code = "provider_needs_no_config"
    text = _("This provider has nothing to configure.")


class ProvidersView(AsyncAPIView):
    @extend_schema(operation_id="listProviders", tags=["Providers"], responses=ProviderListSerializer)
    def get(self, request: Request) -> Response:
        """List every provider that this server knows, and whether it can be used."""
        rows: dict[str, list[ProviderConfig]] = {}
        for row in ProviderConfig.objects.own_or_shared(request.user.pk):
            rows.setdefault(row.provider, []).append(row)
        choices = [choose(spec, rows.get(spec.id, [])) for spec in PROVIDERS.values()]
        return Response({"providers": ProviderSerializer(choices, many=True).data})


class ConfigView(AsyncAPIView):
    @extend_schema(
        operation_id="getProviderConfig",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        responses=responses({200: ConfigViewSerializer}, InvalidInput, NoSuchProvider, NoConfig, NotAllowed),
    )
    def get(self, request: Request, provider: str) -> Response:
        """Give one's settings for a provider; the key itself is never given."""
        row = _stored(_owner(request), _spec(provider))
        if row is None:
            raise NoConfig
        return Response(ConfigViewSerializer(row).data)

    @extend_schema(
        operation_id="putProviderConfig",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        request=ConfigSerializer,
        responses=responses({200: ConfigViewSerializer}, NeedsNoConfig, NoSuchProvider, NotAllowed),
    )
    def put(self, request: Request, provider: str) -> Response:
        """Store or change the settings. What is left out stays as it is, the key too."""
        owner = _owner(request)
        spec = _configurable(provider)
        serializer = ConfigSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            row = services.save_config(user=owner, spec=spec, changes=serializer.changes())
        except ValidationError as exc:
            raise by_wire_name(exc) from exc
        return Response(ConfigViewSerializer(row).data)

    @extend_schema(
        operation_id="deleteProviderConfig",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        responses=responses(
            {204: OpenApiResponse(description="They are deleted.")},
            InvalidInput,
            NoSuchProvider,
            NoConfig,
            NotAllowed,
        ),
    )
    def delete(self, request: Request, provider: str) -> Response:
        """Delete the settings, the key with them."""
        row = _stored(_owner(request), _spec(provider))
        if row is None:
            raise NoConfig
        row.delete()
        return Response(status=204)


class ModelsView(AsyncAPIView):
    @extend_schema(
        operation_id="listModels",
        tags=["Providers"],
        parameters=[PROVIDER],
        responses=responses({200: ModelListSerializer}, NoSuchProvider, *ASKING),
    )
    def get(self, request: Request, provider: str) -> Response | Continuation:
        """Ask the provider which models there are; the answer is kept for some minutes.

        What the provider does not say of a model comes from the catalogue; what staff entered
        comes first.
        """
        access = resolve(request.user, _spec(provider).id)
        said = entries.stated(access.spec.id)
        kept_as = _cache_key(request.user.pk, access, said)
        models = cache.get(kept_as)
        if models is not None:
            return Response({"models": models})
        limits.count(request, group="provider-models", key=str(request.user.pk), rate=MODELS_RATE)
        return Continuation(self, partial(self._ask, access, said, kept_as))

    async def _ask(self, access: ProviderAccess, said: Entries, kept_as: str) -> Response:
        async with asking(access, "its models", MODELS_SECONDS):
            listed = await adapter_for(access).list_models()
        models = await in_db(_shape_and_keep, access.spec.id, listed, said, kept_as)
        return Response({"models": models})


class TestView(AsyncAPIView):
    @extend_schema(
        operation_id="testProvider",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        request=AccessSerializer,
        responses=responses({200: TestedSerializer}, NotAllowed, NoSuchProvider, *ASKING),
    )
    def post(self, request: Request, provider: str) -> Continuation:
        """Try the stored settings, or the ones given, which are not stored."""
        spec = _spec(provider)
        owner = _owner(request)
        serializer = AccessSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        count_test(request)
        access = access_to_try(request.user, spec, owner=owner, given=serializer.validated_data)
        return Continuation(self, partial(self._try, access))

    async def _try(self, access: ProviderAccess) -> Response:
        return Response({"ok": True, "latencyMs": await probe(access)})


def _spec(provider: str) -> ProviderSpec:
    try:
        return spec_of(provider)
    except ProviderUnknown as exc:
        raise NoSuchProvider from exc


def _configurable(provider: str) -> ProviderSpec:
    spec = _spec(provider)
    if spec.protocol == "demo":
        raise NeedsNoConfig
    return spec


def _owner(request: Request) -> Any:
    """Return whose settings are meant: the user's own, or, for None, everyone's."""
    shared = request.query_params.get("shared", "").lower()
    if shared not in {"", "0", "1", "false", "true"}:
        # Taken for a no, it would put a key that is meant for everyone into one's own settings.
        raise InvalidParameter({"shared": [_("Give true or false.")]})
    if shared not in {"1", "true"}:
        return request.user
    if not request.user.is_staff:
        raise PermissionDenied
    return None


def _stored(owner: Any, spec: ProviderSpec) -> ProviderConfig | None:
    return ProviderConfig.objects.filter(user=owner, provider=spec.id).first()


def _shape_and_keep(
    provider: str, listed: list[ModelInfo], said: Entries, kept_as: str
) -> list[dict[str, Any]]:
    models = []
    for model in listed:
        of_the_list = Entry(context_window=model.context_window)
        models.append(model_shape(model, entries.known(provider, model.id, said, of_the_list)))
    cache.set(kept_as, models, MODELS_KEPT_SECONDS)
    return models


def _cache_key(user_id: int | None, access: ProviderAccess, said: Entries) -> str:
    # The key is only there to tell one list from another, and cannot be read out of this.
    parts = (str(user_id), access.spec.id, access.base_url, access.api_key, repr(sorted(said.items())))
    return f"models:{crypto.fingerprint(chr(0).join(parts))}"
