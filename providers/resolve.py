"""Whose key, and which address: from a user and a provider's id to a provider ready to be asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from chatproject.errors import ApiError
from chatproject.prepared import Select
from providers import crypto
from providers.addresses import origin
from providers.models import ProviderConfig
from providers.registry import PROVIDERS, ProviderAccess
from providers.servers import is_server
from providers.specs import ProviderSpec

# The user's own settings of a provider, and the shared ones.
CONFIGS = Select(
    lambda user, provider: ProviderConfig.objects.own_or_shared(user).filter(provider=provider).order_by()
)


class ProviderUnknown(ApiError):
    code = "provider_unknown"
    text = _("There is no such provider.")


class ProviderNotConfigured(ApiError):
    code = "provider_not_configured"
    text = _("This provider is not configured.")


class ProviderKeyUnreadable(ApiError):
    code = "provider_key_unreadable"
    text = _("The stored API key can no longer be read. Enter it again in the settings.")


def resolve(user: Any, provider_id: str) -> ProviderAccess:
    """Return how this user reaches this provider, in at most one query.

    The user's own settings come first, then the shared ones, then the keys of
    the server's environment. Raises `ProviderUnknown`, `ProviderNotConfigured`
    or `ProviderKeyUnreadable`.
    """
    spec = None if is_server(provider_id) else spec_of(provider_id)
    asked = spec is None or spec.protocol != "demo"
    return chosen(provider_id, CONFIGS.objects(user.pk, provider_id) if asked else [])


def chosen(provider_id: str, configs: Iterable[ProviderConfig]) -> ProviderAccess:
    """Return what `resolve` does where `CONFIGS` has been asked; raises as it does."""
    return access(choice_of(provider_id, configs))


def spec_of(provider_id: str) -> ProviderSpec:
    """Return one of the known providers; a server that somebody has added is not among them."""
    try:
        return PROVIDERS[provider_id]
    except KeyError:
        raise ProviderUnknown from None


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a user's answers from a provider would come from; nothing is decrypted yet."""

    spec: ProviderSpec
    # Whose address and key are used; None is the server's environment.
    row: ProviderConfig | None
    default_model: str
    # Whether it is configured at all, and whether that is somebody else's doing.
    configured: bool
    shared: bool
    # The user's own settings, also where they only say which model is preferred.
    own: ProviderConfig | None = None


def choices(user_id: int | None) -> list[Choice]:
    """Return every provider that there is for this user: the known ones, and the servers they can use."""
    rows: dict[str, list[ProviderConfig]] = {}
    for row in ProviderConfig.objects.own_or_shared(user_id):
        rows.setdefault(row.provider, []).append(row)
    known = [choose(spec, rows.get(spec.id, [])) for spec in PROVIDERS.values()]
    added = [choice_of(id_, of_one) for id_, of_one in rows.items() if is_server(id_)]
    # A shared server that is switched off is nobody else's business.
    added = [choice for choice in added if choice.configured or choice.spec.personal]
    added.sort(key=lambda choice: (choice.spec.name.casefold(), choice.spec.id))
    # They stand beside the nameless one that everybody has.
    place = next((n for n, choice in enumerate(known) if choice.spec.id == "custom"), len(known))
    return [*known[: place + 1], *added, *known[place + 1 :]]


def added_servers(user_id: int | None, ids: Iterable[str]) -> dict[str, ProviderSpec]:
    """Return those of these providers that are added servers, as this user knows them."""
    wanted = set(filter(is_server, ids))
    if not wanted:
        return {}
    # A person's own come last, and so win.
    rows = ProviderConfig.objects.own_or_shared(user_id).filter(provider__in=wanted)
    found = sorted(rows, key=lambda row: row.user_id is not None)
    return {row.provider: row.spec for row in found if row.spec is not None}


def choice_of(provider_id: str, rows: Iterable[ProviderConfig]) -> Choice:
    """Choose among the rows of this provider; raises `ProviderUnknown`."""
    if not is_server(provider_id):
        return choose(spec_of(provider_id), rows)
    # A server is its row: there is nothing to add to a shared one but another of one's own.
    row = min(rows, key=lambda row: row.user_id is None, default=None)
    if row is None or row.spec is None:
        raise ProviderUnknown
    return choose(row.spec, [row])


def choose(spec: ProviderSpec, rows: Iterable[ProviderConfig]) -> Choice:
    """Choose among this provider's rows: at most one of the user's own, and one shared."""
    own, shared = None, None
    for row in rows:
        if row.user_id is None:
            shared = row
        else:
            own = row
    if spec.protocol == "demo":
        return Choice(spec, None, spec.default_model, shared=False, configured=True)
    if own is not None and (not own.enabled or not _leans_on_shared(spec, own)):
        model = own.default_model or spec.default_model
        configured = own.enabled and is_complete(spec, own)
        return Choice(spec, own, model, shared=False, configured=configured, own=own)
    model = (
        (own.default_model if own else "") or (shared.default_model if shared else "") or spec.default_model
    )
    if shared is not None:
        usable = shared.enabled and is_complete(spec, shared)
        return Choice(spec, shared, model, shared=usable, configured=usable, own=own)
    from_environment = bool(settings.SHARED_PROVIDER_KEYS.get(spec.id) and spec.base_url)
    return Choice(spec, None, model, shared=from_environment, configured=from_environment, own=own)


def _leans_on_shared(spec: ProviderSpec, own: ProviderConfig) -> bool:
    """Tell whether own settings only say which model is preferred: no key and no address of their own."""
    return spec.requires_key and not own.has_key and not own.base_url


def is_complete(spec: ProviderSpec, row: ProviderConfig) -> bool:
    return bool(base_url_of(spec, row)) and (row.has_key or not spec.requires_key)


def base_url_of(spec: ProviderSpec, row: ProviderConfig | None) -> str:
    return (row.base_url if row else "") or spec.base_url


def access(choice: Choice) -> ProviderAccess:
    """Return the way to a provider, its key decrypted; raises as `resolve` does."""
    if not choice.configured:
        raise ProviderNotConfigured
    return _access(choice)


def access_of_row(row: ProviderConfig, spec: ProviderSpec) -> ProviderAccess:
    """Return the way to a provider by these settings alone, whether they are switched on and whole or not."""
    model = row.default_model or spec.default_model
    return _access(Choice(spec, row, model, configured=True, shared=False))


def _access(choice: Choice) -> ProviderAccess:
    base_url = base_url_of(choice.spec, choice.row)
    return ProviderAccess(
        spec=choice.spec,
        base_url=base_url,
        api_key=_key(choice, base_url),
        default_model=choice.default_model,
        headers=headers_of(choice.row, base_url),
        extra_body=choice.row.extra_body if choice.row else {},
    )


def _key(choice: Choice, base_url: str) -> str:
    if choice.row is None:
        return str(settings.SHARED_PROVIDER_KEYS.get(choice.spec.id, ""))
    return key_of(choice.row, base_url)


def key_of(row: ProviderConfig, base_url: str) -> str:
    """Return a row's key for use at this address; raises `ProviderKeyUnreadable`."""
    try:
        return row.key_for(origin(base_url))
    except crypto.Unreadable as exc:
        raise ProviderKeyUnreadable from exc


def headers_of(row: ProviderConfig | None, base_url: str) -> dict[str, str]:
    """Return a row's extra headers for use at this address; raises `ProviderKeyUnreadable`."""
    try:
        return row.headers_for(origin(base_url)) if row else {}
    except crypto.Unreadable as exc:
        raise ProviderKeyUnreadable from exc
