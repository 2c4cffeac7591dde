"""The provider API: what there is, one's own settings, and whether they work."""

from collections.abc import Callable
from functools import partial
from typing import Any

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
from providers import entries, model_lists, services
from providers.catalogue import Entries
from providers.models import ProviderConfig
from providers.openapi import ASKING, PROVIDER, SHARED
from providers.probe import access_to_try, asking, count_test, probe
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.resolve import (
    ProviderNotConfigured,
    ProviderUnknown,
    choices,
    resolve,
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
)
from providers.servers import PREFIX, is_server

# Each makes this server call another one.
MODELS_RATE = "30/m"
MODELS_SECONDS = 30


class NoSuchProvider(ProviderUnknown):
    status_code = 404


class NoConfig(ProviderNotConfigured):
    status_code = 404


class NeedsNoConfig(ApiError):
    code = "provider_needs_no_config"
    text = _("This provider has nothing to configure.")


class ProvidersView(AsyncAPIView):
    revalidates = True

    @extend_schema(operation_id="listProviders", tags=["Providers"], responses=ProviderListSerializer)
    def get(self, request: Request) -> Response:
        """List every provider and every added server that there is here, and whether it can be used."""
        return Response({"providers": ProviderSerializer(choices(request.user.pk), many=True).data})


class ConfigView(AsyncAPIView):
    @extend_schema(
        operation_id="getProviderConfig",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        responses=responses({200: ConfigViewSerializer}, InvalidInput, NoSuchProvider, NoConfig, NotAllowed),
    )
    def get(self, request: Request, provider: str) -> Response:
        """Give one's settings for a provider; the key itself is never given."""
        row = _stored(settings_owner(request), provider)
        return Response(ConfigViewSerializer(row).data)

    @extend_schema(
        operation_id="putProviderConfig",
        tags=["Providers"],
        parameters=[PROVIDER, SHARED],
        request=ConfigSerializer,
        responses=responses({200: ConfigViewSerializer}, NeedsNoConfig, NoSuchProvider, NotAllowed),
    )
    def put(self, request: Request, provider: str) -> Response:
        """Store or change the settings. What is left out stays as it is, the key too.

        `custom:<slug>` adds a server of one's own: its `protocol` is `openai` where none is given, and its
        `name` the slug.
        """
        owner = settings_owner(request)
        _configurable(provider)
        serializer = ConfigSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            row = services.save_config(user=owner, provider=provider, changes=serializer.changes())
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
        _stored(settings_owner(request), provider).delete()
        return Response(status=204)


class ModelsView(AsyncAPIView):
    revalidates = True

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
        access = _found(partial(resolve, request.user, provider))
        said = entries.stated(access.spec)
        models = model_lists.kept(request.user.pk, access, said)
        if models is not None:
            return Response({"models": models})
        limits.count(request, group="provider-models", key=str(request.user.pk), rate=MODELS_RATE)
        return Continuation(self, partial(self._ask, request.user.pk, access, said))

    async def _ask(self, user_id: int | None, access: ProviderAccess, said: Entries) -> Response:
        async with asking(access, "its models", MODELS_SECONDS):
            listed = await adapter_for(access).list_models()
        models = await in_db(model_lists.keep, user_id, access, said, listed)
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
        """Try the stored settings, or the ones given, which are not stored; give the models it lists."""
        owner = settings_owner(request)
        _known(provider)
        serializer = AccessSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        count_test(request)
        given = serializer.changes() if serializer.validated_data else None
        access = _found(partial(access_to_try, request.user, provider, owner=owner, given=given))
        return Continuation(self, partial(self._try, access, entries.stated(access.spec)))

    async def _try(self, access: ProviderAccess, said: Entries) -> Response:
        tested = await probe(access)
        models = model_lists.shapes(access.spec, tested.models, said)
        return Response({"ok": True, "latencyMs": tested.milliseconds, "models": models})


def _found(look: Callable[[], ProviderAccess]) -> ProviderAccess:
    """Look a provider up that the path names: what is not there is not found."""
    try:
        return look()
    except ProviderUnknown as exc:
        raise NoSuchProvider from exc


def _known(provider: str) -> None:
    """Refuse what cannot be a provider, before anything else is looked at."""
    if not is_server(provider) and provider not in PROVIDERS:
        raise NoSuchProvider


def _configurable(provider: str) -> None:
    if provider.startswith(PREFIX) and not is_server(provider):
        raise InvalidParameter({"provider": [services.NO_SUCH_SLUG]})
    _known(provider)
    if provider in PROVIDERS and PROVIDERS[provider].protocol == "demo":
        raise NeedsNoConfig


# The permissions for calls about the settings that everybody shares. A PUT may add or change them, and a test
# uses their key.
_ACTIONS = {
    "GET": ["view"],
    "PUT": ["add", "change"],
    "DELETE": ["delete"],
    "POST": ["change"],
}


def settings_owner(request: Request) -> Any:
    """Return whose settings are meant: the user's own, or, for None, everyone's."""
    shared = request.query_params.get("shared", "").lower()
    if shared not in {"", "0", "1", "false", "true"}:
        # Taken for a no, it would put a key that is meant for everyone into one's own settings.
        raise InvalidParameter({"shared": [_("Give true or false.")]})
    if shared not in {"1", "true"}:
        return request.user
    # The same permissions as in the admin, which Django grants to active staff.
    needed = (f"providers.{action}_providerconfig" for action in _ACTIONS[request.method or ""])
    if not (request.user.is_staff and request.user.has_perms(needed)):
        raise PermissionDenied
    return None


def _stored(owner: Any, provider: str) -> ProviderConfig:
    _known(provider)
    row = ProviderConfig.objects.filter(user=owner, provider=provider).first()
    if row is None:
        # A server that nobody has added is no provider at all.
        raise NoSuchProvider if is_server(provider) else NoConfig
    return row
