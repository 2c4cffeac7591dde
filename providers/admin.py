"""Provider settings in the admin. A key can be entered there and never be seen."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chatproject.admin import NamedLookups, ShortSearch
from providers import catalogue, servers, services
from providers.catalogue import Entry
from providers.models import ModelEntry, ProviderConfig
from providers.registry import PROVIDERS

_FIELDS = {
    "api_key": "new_key",
    "base_url": "address",
    "headers": "new_headers",
    "name": "server_name",
    "protocol": "protocol",
    "provider": "slug",
}


# Chosen in place of a provider: a server of one's own, with the slug that is given beside it.
NEW_SERVER = servers.PREFIX


def _provider_choices() -> list[tuple[str, str]]:
    return [(spec.id, str(spec.name)) for spec in PROVIDERS.values() if spec.protocol != "demo"]


def _model_providers() -> list[tuple[str, str]]:
    """Return the providers whose models staff can describe: the known ones and the shared servers."""
    shared = ProviderConfig.objects.servers().filter(user=None).order_by("name")
    return [*_provider_choices(), *((row.provider, f"{row.name} ({row.provider})") for row in shared)]


class ProviderConfigForm(forms.ModelForm):
    """Takes an address, a key and headers by the rules of the API: none is a field of the model's here."""

    provider = forms.ChoiceField(
        label=_("provider"),
        choices=lambda: [*_provider_choices(), (NEW_SERVER, _("A server of one's own (custom:…)"))],
    )
    slug = forms.CharField(
        label=_("slug"),
        required=False,
        max_length=servers.MAX_SLUG_CHARS,
        help_text=_("Of a server of one's own: what comes after “custom:” in its id, which never changes."),
    )
    server_name = forms.CharField(label=_("name"), required=False, max_length=1000)
    address = forms.CharField(
        label=_("base URL"),
        required=False,
        max_length=2100,
        widget=forms.TextInput(attrs={"size": 60}),
        help_text=_("Empty: the provider's own. For another server the key has to be entered again."),
    )
    new_key = forms.CharField(
        label=_("new API key"),
        required=False,
        max_length=5000,
        widget=forms.PasswordInput(attrs={"size": 60, "autocomplete": "new-password"}),
        help_text=_("Empty: the stored key stays. It is encrypted and is never shown again."),
    )
    remove_key = forms.BooleanField(label=_("remove the API key"), required=False)
    new_headers = forms.CharField(
        label=_("new extra headers"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_(
            "One per line, such as X-Team: blue. Nothing behind the colon takes a header away; "
            "the others stay. They are encrypted and are never shown again."
        ),
    )

    class Meta:
        model = ProviderConfig
        fields = ["user", "provider", "protocol", "extra_body", "default_model", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["address"].initial = self.instance.base_url
        self.fields["server_name"].initial = self.instance.name
        if "extra_body" in self.fields:  # not in the form of somebody who may only look at it
            self.fields["extra_body"].empty_values = [None, ""]

    def clean_address(self) -> str:
        return services.checked_url(self.cleaned_data["address"])

    def clean_new_key(self) -> str:
        return services.checked_key(self.cleaned_data["new_key"])

    def clean_server_name(self) -> str:
        name = self.cleaned_data["server_name"]
        return services.checked_server_name(name) if name else ""

    def clean_new_headers(self) -> dict[str, str]:
        return services.checked_headers(services.headers_from_lines(self.cleaned_data["new_headers"]))

    def clean_extra_body(self) -> dict[str, Any]:
        return services.checked_body(_object(self.cleaned_data["extra_body"]))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("provider") == NEW_SERVER:
            cleaned["provider"] = f"{servers.PREFIX}{cleaned.get('slug', '')}"
            if not servers.is_server(cleaned["provider"]):
                self.add_error("slug", services.NO_SUCH_SLUG)
        elif cleaned.get("slug"):
            self.add_error("slug", services.ONLY_SERVERS)
        if cleaned.get("new_key") and cleaned.get("remove_key"):
            self.add_error("remove_key", _("Either enter a new key or remove the stored one."))
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # known to Django's own forms, not to the stubs
        if self.errors:
            return
        if self.instance.spec is None:
            self.add_error(
                None, _("This server no longer knows this provider. The settings can only be deleted.")
            )
            return
        key = "" if self.cleaned_data["remove_key"] else self.cleaned_data["new_key"] or None
        changes = services.Changes(
            api_key=key,
            base_url=self.cleaned_data["address"],
            name=self.cleaned_data["server_name"] or None,
            protocol=self.cleaned_data.get("protocol") or None,
            headers=self.cleaned_data["new_headers"] or None,
        )
        try:
            services.apply(self.instance, changes)
        except ValidationError as exc:
            for name, errors in exc.error_dict.items():
                self.add_error(_FIELDS.get(name), errors)


def _object(value: Any) -> Any:
    """Return what a JSON field holds; an empty one stands for an object without anything."""
    return {} if value in (None, "") else value


class ConfigProviderFilter(admin.SimpleListFilter):
    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*_provider_choices(), (NEW_SERVER, _("A server of one's own (custom:…)"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == NEW_SERVER:
            return queryset.servers()
        return queryset.filter(provider=self.value()) if self.value() else queryset


class SharedFilter(admin.SimpleListFilter):
    title = _("shared")
    parameter_name = "shared"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("Yes")), ("0", _("No"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() in {"0", "1"}:
            return queryset.filter(user__isnull=self.value() == "1")
        return queryset


@admin.register(ProviderConfig)
class ProviderConfigAdmin(NamedLookups, ShortSearch, admin.ModelAdmin):
    form = ProviderConfigForm
    lookups = frozenset({"enabled", "id", "provider", "shared", "updated_at", "user"})
    list_display = [
        "provider",
        "name",
        "owner",
        "base_url",
        "key_hint",
        "default_model",
        "enabled",
        "updated_at",
    ]
    list_display_links = ["provider", "owner"]
    list_filter = [ConfigProviderFilter, SharedFilter, "enabled", "updated_at"]
    list_select_related = ["user"]
    search_fields = ["provider", "name", "user__username", "base_url", "default_model"]
    autocomplete_fields = ["user"]
    fields = [
        "user",
        "provider",
        "slug",
        "server_name",
        "protocol",
        "address",
        "key_hint",
        "new_key",
        "remove_key",
        "stored_headers",
        "new_headers",
        "extra_body",
        "default_model",
        "enabled",
        "created_at",
        "updated_at",
    ]
    readonly_fields = ["key_hint", "stored_headers", "created_at", "updated_at"]

    @admin.display(description=_("user"), ordering="user__username")
    def owner(self, row: ProviderConfig) -> str:
        return str(_("shared") if row.user is None else row.user)

    @admin.display(description=_("extra headers"))
    def stored_headers(self, row: ProviderConfig) -> str:
        return ", ".join(row.header_names) or self.get_empty_value_display()

    def has_change_permission(self, request: HttpRequest, obj: ProviderConfig | None = None) -> bool:
        # To lead a person's questions to another server is to read them.
        personal = obj is not None and obj.user_id not in (None, request.user.pk)
        may = super().has_change_permission(request, obj)
        return may and (request.user.is_superuser or not personal)

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderConfig | None = None) -> Any:
        # A key is bound to its user and its provider: both are chosen once. Superusers alone choose a user.
        chosen = {"user", "provider"} if obj else set() if request.user.is_superuser else {"user"}
        return [*self.readonly_fields, *sorted(chosen)]

    def get_fields(self, request: HttpRequest, obj: ProviderConfig | None = None) -> Any:
        hidden = set() if obj is None else {"slug"} if obj.is_server else {"slug", "server_name", "protocol"}
        return [name for name in self.fields or () if name not in hidden]


_MODEL_FACTS = ["context_window", "max_output_tokens", "input_price", "cached_price", "output_price"]


class ModelEntryForm(forms.ModelForm):
    provider = forms.ChoiceField(label=_("provider"), choices=_model_providers)

    class Meta:
        model = ModelEntry
        fields = ["provider", "model", *_MODEL_FACTS, "extra_body"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "extra_body" in self.fields:  # not in the form of somebody who may only look at it
            self.fields["extra_body"].empty_values = [None, ""]

    def clean_extra_body(self) -> dict[str, Any]:
        return services.checked_body(_object(self.cleaned_data["extra_body"]))

    def clean_model(self) -> str:
        # Two entries that differ in capitals alone would be one and the same.
        return str(self.cleaned_data["model"]).lower()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        said = [cleaned.get(name) is not None for name in _MODEL_FACTS]
        if not self.errors and not any(said) and not cleaned.get("extra_body"):
            raise ValidationError(_("Give at least one value: what is left empty stays as shipped."))
        return cleaned


@admin.register(ModelEntry)
class ModelEntryAdmin(ShortSearch, admin.ModelAdmin):
    """What staff say of models, beside what the shipped catalogue says of them."""

    form = ModelEntryForm
    list_display = ["provider", "model", *_MODEL_FACTS, "shipped", "updated_at"]
    list_display_links = ["provider", "model"]
    list_filter = ["provider"]
    search_fields = ["provider", "model"]
    fields = ["provider", "model", *_MODEL_FACTS, "extra_body", "shipped", "catalogue_of", "updated_at"]
    readonly_fields = ["shipped", "catalogue_of", "updated_at"]

    @admin.display(description=_("shipped: window · output · prices"))
    def shipped(self, row: ModelEntry) -> str:
        found = catalogue.look_up(row.provider, row.model) if row.model else None
        return _told(found) if found else self.get_empty_value_display()

    @admin.display(description=_("shipped catalogue"))
    def catalogue_of(self, row: ModelEntry) -> str:
        shipped = catalogue.shipped()
        return f"{shipped.date} ({shipped.source})"


def _told(entry: Entry) -> str:
    """Return the values in the order in which the form has them."""
    tokens = [f"{value:,}" if value else "–" for value in (entry.context_window, entry.max_output_tokens)]
    prices = [
        "–" if price is None else f"${price.normalize():f}"
        for price in (entry.input_price, entry.cached_price, entry.output_price)
    ]
    return " · ".join([*tokens, *prices])
