"""The settings, as pages: everything works with forms alone; the script only makes some of it quicker."""

from typing import Any

from django.conf import settings
from django.contrib import messages as notices
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from rest_framework.exceptions import ValidationError as ApiValidationError

from chat.pages import choices_of, frame, page
from chatproject.db import in_db
from chatproject.errors import ApiError, flatten
from providers.errors import ProviderError
from providers.models import ProviderConfig
from providers.probe import access_to_try, count_test, probe
from providers.registry import PROVIDERS, ProviderAccess, ProviderSpec
from providers.resolve import base_url_of
from providers.serializers import ConfigSerializer, by_wire_name
from providers.services import save_config


@require_GET
@page
def settings_page(request: HttpRequest) -> HttpResponse:
    own = {row.provider: row for row in ProviderConfig.objects.filter(user_id=_user_id(request))}
    rows = [(choice, own.get(choice.spec.id)) for choice in choices_of(request.user)]
    context = {
        # Whoever switched something off wants to find it again.
        "in_use": [(choice, row) for choice, row in rows if choice.configured or row],
        "others": [(choice, row) for choice, row in rows if not choice.configured and not row],
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
    """Show and store the person's own settings of one provider; a stored key is never shown."""
    spec = _configurable(provider)
    if request.method != "POST":
        return _form(request, spec)
    refused = _saved(request, spec)
    text = _("The settings of %(provider)s are saved.") % {"provider": spec.name}
    return refused or _back(request, spec, notices.SUCCESS, text)


async def try_provider(request: HttpRequest, provider: str) -> HttpResponse:
    """Store what the form has, ask the provider, and tell what came of it: the test without scripts."""
    response = await in_db(_save_first, request, provider)
    if response.status_code != NOTHING_TO_SAY:
        return response
    spec = _configurable(provider)
    try:
        access = await in_db(_access_to_try, request, spec)
        milliseconds = await probe(access)
    except (ApiError, ProviderError) as exc:
        return await in_db(_tell_failure, request, spec, exc.text, getattr(exc, "words", ""))
    except ApiValidationError as exc:
        return await in_db(_tell_failure, request, spec, next(iter(flatten(exc.detail).values()))[0])
    return await in_db(_tell_success, request, spec, milliseconds)


NOTHING_TO_SAY = 204


@require_POST
@page
def _save_first(request: HttpRequest, provider: str) -> HttpResponse:
    return _saved(request, _configurable(provider)) or HttpResponse(status=NOTHING_TO_SAY)


def _access_to_try(request: HttpRequest, spec: ProviderSpec) -> ProviderAccess:
    count_test(request)
    return access_to_try(request.user, spec, owner=request.user)


def _tell_success(request: HttpRequest, spec: ProviderSpec, milliseconds: int) -> HttpResponse:
    text = _("The settings are saved, and they work: the provider answered in %(milliseconds)s ms.")
    return _back(request, spec, notices.SUCCESS, text % {"milliseconds": milliseconds})


def _tell_failure(
    request: HttpRequest, spec: ProviderSpec, why: str | Promise, words: str = ""
) -> HttpResponse:
    text = _("The settings are saved, but the test failed. %(error)s") % {"error": why}
    if words:
        text = format_html("{}{}", text, render_to_string("chat/own_words.html", {"words": words}))
    return _back(request, spec, notices.WARNING, text)


def _form(
    request: HttpRequest,
    spec: ProviderSpec,
    given: dict[str, Any] | None = None,
    errors: dict[str, list[str]] | None = None,
) -> HttpResponse:
    row = ProviderConfig.objects.filter(user_id=_user_id(request), provider=spec.id).first()
    stored = {
        "baseUrl": row.base_url if row else "",
        "defaultModel": row.default_model if row else "",
        "enabled": row.enabled if row else True,
    }
    context = frame(request) | {
        "spec": spec,
        "row": row,
        "given": given or stored,
        "errors": errors or {},
        "stored_address": base_url_of(spec, row),
        "private_hosts": settings.ALLOW_PRIVATE_PROVIDER_HOSTS,
    }
    return render(request, "chat/provider.html", context, status=400 if errors else 200)


def _saved(request: HttpRequest, spec: ProviderSpec) -> HttpResponse | None:
    """Store what the form has; return the form again where something is wrong with it."""
    given = _given(request)
    errors = _save(request.user, spec, given)
    return _form(request, spec, given, errors) if errors else None


def _back(request: HttpRequest, spec: ProviderSpec, level: int, text: str) -> HttpResponse:
    notices.add_message(request, level, text)
    return HttpResponseRedirect(reverse("provider-settings", args=[spec.id]))


def _given(request: HttpRequest) -> dict[str, Any]:
    """Return the form as the API would be given it. An empty key means: leave the one that is stored."""
    given: dict[str, Any] = {
        "baseUrl": request.POST.get("baseUrl", ""),
        "defaultModel": request.POST.get("defaultModel", ""),
        "enabled": "enabled" in request.POST,
    }
    if request.POST.get("removeKey"):
        given["apiKey"] = ""
    elif key := request.POST.get("apiKey", ""):
        given["apiKey"] = key
    return given


def _save(user: Any, spec: ProviderSpec, given: dict[str, Any]) -> dict[str, list[str]]:
    """Store what was given, by the rules of the API; return the errors by field."""
    serializer = ConfigSerializer(data=given)
    if not serializer.is_valid():
        return flatten(serializer.errors)
    try:
        save_config(user=user, spec=spec, changes=serializer.changes())
    except ValidationError as exc:
        refused: ApiValidationError = by_wire_name(exc)
        return flatten(refused.detail)
    return {}


@require_POST
@page
def delete_provider(request: HttpRequest, provider: str) -> HttpResponse:
    spec = _configurable(provider)
    ProviderConfig.objects.filter(user_id=_user_id(request), provider=spec.id).delete()
    notices.success(
        request, _("Your settings of %(provider)s are deleted, the key with them.") % {"provider": spec.name}
    )
    return HttpResponseRedirect(reverse("settings"))


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _configurable(provider: str) -> ProviderSpec:
    spec = PROVIDERS.get(provider)
    if spec is None or spec.protocol == "demo":
        raise Http404
    return spec
