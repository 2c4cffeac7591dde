"""Provider settings in the admin. A key can be entered there and never be seen."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chatproject.admin import ShortSearch
from providers import catalogue, services
from providers.catalogue import Entry
from providers.models import ModelEntry, ProviderConfig
from providers.registry import PROVIDERS

_FIELDS = {"api_key": "new_key", "base_url": "address"}


class ProviderConfigForm(forms.ModelForm):
    """Takes an address and a key by the rules of the API; neither is a field of the model's own here."""

    provider = forms.ChoiceField(
        label=_("provider"),
        choices=[(spec.id, spec.name) for spec in PROVIDERS.values() if spec.protocol != "demo"],
    )
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

    class Meta:
        model = ProviderConfig
        fields = ["user", "provider", "default_model", "enabled"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["address"].initial = self.instance.base_url

    def clean_address(self) -> str:
        return services.checked_url(self.cleaned_data["address"])

    def clean_new_key(self) -> str:
        return services.checked_key(self.cleaned_data["new_key"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("new_key") and cleaned.get("remove_key"):
            self.add_error("remove_key", _("Either enter a new key or remove the stored one."))
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # known to Django's own forms, not to the stubs
        if self.errors:
            return
        spec = PROVIDERS.get(self.instance.provider)
        if spec is None:
            self.add_error(
                None, _("This server no longer knows this provider. The settings can only be deleted.")
            )
            return
        key = "" if self.cleaned_data["remove_key"] else self.cleaned_data["new_key"] or None
        changes = services.Changes(api_key=key, base_url=self.cleaned_data["address"])
        try:
            services.apply(spec, self.instance, changes)
        except ValidationError as exc:
            for name, errors in exc.error_dict.items():
                self.add_error(_FIELDS.get(name), errors)


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
class ProviderConfigAdmin(ShortSearch, admin.ModelAdmin):
    form = ProviderConfigForm
    list_display = ["provider", "owner", "base_url", "key_hint", "default_model", "enabled", "updated_at"]
    list_display_links = ["provider", "owner"]
    list_filter = ["provider", SharedFilter, "enabled", "updated_at"]
    list_select_related = ["user"]
    search_fields = ["provider", "user__username", "base_url", "default_model"]
    autocomplete_fields = ["user"]
    fields = [
        "user",
        "provider",
        "address",
        "key_hint",
        "new_key",
        "remove_key",
        "default_model",
        "enabled",
        "created_at",
        "updated_at",
    ]
    readonly_fields = ["key_hint", "created_at", "updated_at"]

    @admin.display(description=_("user"), ordering="user__username")
    def owner(self, row: ProviderConfig) -> str:
        return str(_("shared") if row.user is None else row.user)

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderConfig | None = None) -> Any:
        # A key is bound to its user and its provider: both are chosen once.
        return [*self.readonly_fields, *(("user", "provider") if obj else ())]


_MODEL_FACTS = ["context_window", "max_output_tokens", "input_price", "cached_price", "output_price"]


class ModelEntryForm(forms.ModelForm):
    provider = forms.ChoiceField(
        label=_("provider"),
        choices=[(spec.id, spec.name) for spec in PROVIDERS.values() if spec.protocol != "demo"],
    )

    class Meta:
        model = ModelEntry
        fields = ["provider", "model", *_MODEL_FACTS]

    def clean_model(self) -> str:
        # Two entries that differ in capitals alone would be one and the same.
        return str(self.cleaned_data["model"]).lower()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and all(cleaned.get(name) is None for name in _MODEL_FACTS):
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
    fields = ["provider", "model", *_MODEL_FACTS, "shipped", "catalogue_of", "updated_at"]
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
