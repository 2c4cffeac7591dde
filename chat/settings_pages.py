"""The settings, as pages: everything works with forms alone; the script only makes some of it quicker."""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages as notices
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from rest_framework.exceptions import ValidationError as ApiValidationError

from chat.pages import frame, page
from chatproject.db import in_db
from chatproject.errors import ApiError, flatten
from providers import entries, model_lists, retirement, servers
from providers.base import ModelInfo
from providers.catalogue import Entries
from providers.errors import ProviderError
from providers.models import ProviderConfig
from providers.probe import Tested, access_to_try, count_test, probe
from providers.registry import PROVIDERS, ProviderAccess
from providers.resolve import access_of_row, base_url_of, choices
from providers.serializers import ConfigSerializer, by_wire_name
from providers.services import headers_from_lines, save_config
from providers.specs import ProviderSpec

# The form for a server that does not exist yet. No server can have this id.
NEW_SERVER = f"{servers.PREFIX}new"


@require_GET
@page
def settings_page(request: HttpRequest) -> HttpResponse:
    own = {row.provider: row for row in ProviderConfig.objects.filter(user_id=_user_id(request))}
    rows = [(choice, own.get(choice.spec.id)) for choice in choices(_user_id(request))]
    context = {
        # Whoever switched something off wants to find it again.
        "in_use": [(choice, row) for choice, row in rows if choice.configured or row],
        "others": [(choice, row) for choice, row in rows if not choice.configured and not row],
        # A shared server has no settings of one's own.
        "known_ids": PROVIDERS,
        "languages": settings.LANGUAGES,
    }
    return render(request, "chat/settings.html", frame(request) | context)


@require_POST
@page
def language(request: HttpRequest) -> HttpResponse:
    chosen = request.POST.get("language", "")
    if chosen and chosen not in dict(settings.LANGUAGES):
        raise Http404
    user: Any = request.user
    user.language = chosen
    user.save(update_fields=["language"])
    return HttpResponseRedirect(reverse("settings"))


@require_http_methods(["GET", "HEAD", "POST"])
@page
def provider_settings(request: HttpRequest, provider: str) -> HttpResponse:
    """Show and store the person's own settings of one provider; no stored secret is ever shown."""
    row = _row(request, provider)
    if row is None:
        # A server of somebody else's, or one that is deleted: an answer of it may still lead here.
        return HttpResponseRedirect(reverse("settings"))
    if request.method != "POST":
        return _form(request, row)
    saved = _saved(request, row)
    if isinstance(saved, HttpResponse):
        return saved
    text = _("The settings of %(provider)s are saved.") % {"provider": _spec(saved).name}
    return _back(request, saved, notices.SUCCESS, text)


async def try_provider(request: HttpRequest, provider: str) -> HttpResponse:
    """Store what the form has, ask the provider, and tell what came of it: the test without scripts."""
    # Whatever refuses the request answers by itself; else the row is found in the list.
    rows: list[ProviderConfig] = []
    response = await in_db(_save_first, request, provider, rows)
    if not rows:
        return response
    row = rows[0]
    try:
        access = await in_db(_access_to_try, request, row)
        tested = await probe(access)
    except (ApiError, ProviderError) as exc:
        return await in_db(_tell_failure, request, row, exc.text, getattr(exc, "words", ""))
    except ApiValidationError as exc:
        return await in_db(_tell_failure, request, row, next(iter(flatten(exc.detail).values()))[0])
    return await in_db(_tell_success, request, row, access, tested)


@require_POST
@page
def _save_first(request: HttpRequest, provider: str, rows: list[ProviderConfig]) -> HttpResponse:
    row = _row(request, provider)
    if row is None:
        return HttpResponseRedirect(reverse("settings"))
    saved = _saved(request, row)
    if isinstance(saved, HttpResponse):
        return saved
    rows.append(saved)
    return HttpResponse(status=204)


def _access_to_try(request: HttpRequest, row: ProviderConfig) -> ProviderAccess:
    count_test(request)
    return access_to_try(request.user, row.provider, owner=request.user)


def _tell_success(
    request: HttpRequest, row: ProviderConfig, access: ProviderAccess, tested: Tested
) -> HttpResponse:
    if tested.models:
        # The form offers them from now on.
        model_lists.keep(_user_id(request), access, entries.stated(access.spec), tested.models)
    text = _("The settings are saved, and they work: the provider answered in %(milliseconds)s ms.")
    return _back(request, row, notices.SUCCESS, text % {"milliseconds": tested.milliseconds})


def _tell_failure(
    request: HttpRequest, row: ProviderConfig, why: str | Promise, words: str = ""
) -> HttpResponse:
    text = _("The settings are saved, but the test failed. %(error)s") % {"error": why}
    if words:
        text = format_html("{}{}", text, render_to_string("chat/own_words.html", {"words": words}))
    return _back(request, row, notices.WARNING, text)


def _form(
    request: HttpRequest,
    row: ProviderConfig,
    given: dict[str, Any] | None = None,
    errors: dict[str, list[str]] | None = None,
) -> HttpResponse:
    spec = _spec(row)
    stored = {
        "name": row.name,
        "protocol": row.protocol or servers.DEFAULT_PROTOCOL,
        "baseUrl": row.base_url,
        "defaultModel": row.default_model,
        "enabled": row.enabled,
        "extraBody": json.dumps(row.extra_body, ensure_ascii=False, indent=2) if row.extra_body else "",
    }
    context = frame(request) | {
        "spec": spec,
        "row": None if row._state.adding else row,
        "title": _("Add a server") if row.provider == NEW_SERVER else spec.name,
        "is_server": row.is_server,
        "protocols": servers.PROTOCOLS,
        "given": given or stored,
        "errors": errors or {},
        "stored_address": base_url_of(spec, row),
        "retirement": _retirement(row, spec, entries.stated(spec)),
        "known_models": _known_models(request, row, spec),
        "private_hosts": settings.ALLOW_PRIVATE_PROVIDER_HOSTS,
    }
    return render(request, "chat/provider.html", context, status=400 if errors else 200)


def _known_models(request: HttpRequest, row: ProviderConfig, spec: ProviderSpec) -> model_lists.Models:
    """Return the models to choose from: those that the provider has listed lately, or the suggested ones."""
    said = entries.stated(spec)
    suggested = model_lists.shapes(spec, [ModelInfo(id=model) for model in spec.models], said)
    if row._state.adding or not base_url_of(spec, row):
        return suggested
    try:
        return model_lists.kept(_user_id(request), access_of_row(row, spec), said) or suggested
    except ApiError:
        return suggested


def _retirement(row: ProviderConfig, spec: ProviderSpec, said: Entries) -> str:
    """Return a sentence if the stored or suggested default model is retired or soon will be."""
    model = row.default_model or spec.default_model
    return retirement.notice(model, entries.known(spec.id, model, said).retires, timezone.localdate())


def _back(request: HttpRequest, row: ProviderConfig, level: int, text: str) -> HttpResponse:
    notices.add_message(request, level, text)
    return HttpResponseRedirect(reverse("provider-settings", args=[row.provider]))


def _saved(request: HttpRequest, row: ProviderConfig) -> ProviderConfig | HttpResponse:
    """Store what the form has; return the form again where something is wrong with it."""
    given, errors = _given(request, row)
    if not errors:
        provider = row.provider
        if provider == NEW_SERVER:
            own = ProviderConfig.objects.servers().filter(user_id=_user_id(request))
            provider = servers.free_id(given.get("name", ""), set(own.values_list("provider", flat=True)))
        saved = _save(request.user, provider, given)
        if isinstance(saved, ProviderConfig):
            return saved
        errors = saved
    again = {
        name: request.POST.get(name, "")
        for name in ("name", "protocol", "baseUrl", "defaultModel", "extraBody")
    }
    return _form(request, row, again | {"enabled": given["enabled"]}, errors)


def _given(request: HttpRequest, row: ProviderConfig) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the form as the API would be given it, and what cannot be given to it, by field.

    An empty key means: leave the one that is stored.
    """
    form = request.POST
    given: dict[str, Any] = {
        "baseUrl": form.get("baseUrl", ""),
        "defaultModel": form.get("defaultModel", ""),
        "enabled": "enabled" in form,
    }
    errors: dict[str, list[str]] = {}
    if row.is_server:
        given |= {name: form[name] for name in ("name", "protocol") if name in form}
    if form.get("removeKey"):
        given["apiKey"] = ""
    elif key := form.get("apiKey", ""):
        given["apiKey"] = key
    try:
        headers = dict.fromkeys(form.getlist("removeHeader")) | headers_from_lines(form.get("headers", ""))
        given |= {"headers": headers} if headers else {}
    except ValidationError as exc:
        errors["headers"] = exc.messages
    if "extraBody" in form:
        try:
            given["extraBody"] = json.loads(form["extraBody"].strip() or "{}")
        except (ValueError, RecursionError):
            errors["extraBody"] = [_("This is not JSON.")]
    return given, errors


def _save(user: Any, provider: str, given: dict[str, Any]) -> ProviderConfig | dict[str, list[str]]:
    """Store what was given, by the rules of the API; return the row, or the errors by field."""
    serializer = ConfigSerializer(data=given)
    if not serializer.is_valid():
        return flatten(serializer.errors)
    try:
        return save_config(user=user, provider=provider, changes=serializer.changes())
    except ValidationError as exc:
        refused: ApiValidationError = by_wire_name(exc)
        return flatten(refused.detail)


@require_POST
@page
def delete_provider(request: HttpRequest, provider: str) -> HttpResponse:
    row = _row(request, provider)
    if row is not None and not row._state.adding:
        name = _spec(row).name
        row.delete()
        text = _("Your settings of %(provider)s are deleted, the key with them.") % {"provider": name}
        notices.success(request, text)
    return HttpResponseRedirect(reverse("settings"))


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _row(request: HttpRequest, provider: str) -> ProviderConfig | None:
    """Return the person's settings of a provider, or new ones; `None` for a server that they do not have."""
    row = ProviderConfig.objects.filter(user_id=_user_id(request), provider=provider).first()
    if row is None:
        row = ProviderConfig(user_id=_user_id(request), provider=provider)
        if row.is_server and provider != NEW_SERVER:
            return None
    if row.spec is None or row.spec.protocol == "demo":
        raise Http404
    return row


def _spec(row: ProviderConfig) -> ProviderSpec:
    if row.spec is None:
        raise Http404
    return row.spec
