"""Whom somebody talks to, with whose key."""

import json
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from providers import crypto, servers
from providers.catalogue import MAX_NAME_CHARS, Entry
from providers.registry import PROVIDERS
from providers.specs import ProviderSpec

EXTRA_BODY_HELP = _(
    'A JSON object that is added to the body of every request, such as {"enable_thinking": false}. '
    "What the service says itself stays as it is."
)
SERVER_NAME_TAKEN = _("There already is a server of this name.")


class ProviderConfigQuerySet(models.QuerySet["ProviderConfig"]):
    def own_or_shared(self, user_id: int | None) -> "ProviderConfigQuerySet":
        return self.filter(Q(user=user_id) | Q(user=None))

    def servers(self) -> "ProviderConfigQuerySet":
        return self.filter(provider__startswith=servers.PREFIX)


class ProviderConfig(models.Model):
    """The settings of one provider: a user's own, or, without a user, everyone's.

    The key is encrypted for exactly this user, provider and origin: moved to
    another row, or sent towards another host, it cannot be read.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="provider_configs",
        verbose_name=_("user"),
        help_text=_("Empty: shared by everyone who has no settings of their own."),
    )
    provider = models.CharField(_("provider"), max_length=50)
    # These two belong to servers of one's own (`custom:<slug>`); elsewhere they are empty.
    name = models.CharField(_("name"), max_length=servers.MAX_NAME_CHARS, blank=True, default="")
    protocol = models.CharField(
        _("protocol"), max_length=20, blank=True, default="", choices=list(servers.PROTOCOLS.items())
    )
    # Longer than any address that `check_url` lets through. Empty: the provider's own.
    base_url = models.CharField(_("base URL"), max_length=2100, blank=True)
    api_key = models.BinaryField(_("API key"), blank=True, default=b"", editable=False)
    key_hint = models.CharField(_("key"), max_length=20, blank=True, editable=False)
    # Headers that go along with every request: encrypted as the key is. Their names may be shown.
    headers = models.BinaryField(_("extra headers"), blank=True, default=b"", editable=False)
    header_names = models.JSONField(_("extra headers"), blank=True, default=list, editable=False)
    extra_body = models.JSONField(_("extra body fields"), blank=True, default=dict, help_text=EXTRA_BODY_HELP)
    default_model = models.CharField(_("default model"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = ProviderConfigQuerySet.as_manager()

    class Meta:
        ordering = ["provider", "user"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "provider"],
                condition=Q(user__isnull=False),
                name="one_config_per_user_and_provider",
                violation_error_message=_("This user already has settings for this provider."),
            ),
            models.UniqueConstraint(
                fields=["provider"],
                condition=Q(user__isnull=True),
                name="one_shared_config_per_provider",
                violation_error_message=_("There already are shared settings for this provider."),
            ),
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=Q(user__isnull=False) & ~Q(name=""),
                name="one_server_per_user_and_name",
                violation_error_message=SERVER_NAME_TAKEN,
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(user__isnull=True) & ~Q(name=""),
                name="one_shared_server_per_name",
                violation_error_message=SERVER_NAME_TAKEN,
            ),
        ]
        verbose_name = _("provider settings")
        verbose_name_plural = _("provider settings")

    def __str__(self) -> str:
        return f"{self.provider} ({'shared' if self.user_id is None else f'user {self.user_id}'})"

    @property
    def is_server(self) -> bool:
        return servers.is_server(self.provider)

    @property
    def spec(self) -> ProviderSpec | None:
        """What these settings are for; `None` for a provider that this version no longer knows."""
        if not self.is_server:
            return PROVIDERS.get(self.provider)
        personal = self.user_id is not None
        return servers.spec_of_server(
            self.provider, name=self.name, protocol=self.protocol, personal=personal
        )

    @property
    def has_key(self) -> bool:
        return bool(self.api_key)

    @property
    def has_secrets(self) -> bool:
        return bool(self.api_key or self.headers)

    def key_for(self, origin: str) -> str:
        """Return the key, for use at this origin alone; raises `crypto.Unreadable`."""
        return crypto.decrypt(bytes(self.api_key), self._binding(origin)) if self.api_key else ""

    def set_key(self, key: str, origin: str) -> None:
        """Take over a key for this origin; "" takes the stored one away."""
        self.api_key = crypto.encrypt(key, self._binding(origin)) if key else b""
        self.key_hint = hint(key)

    def headers_for(self, origin: str) -> dict[str, str]:
        """Return the extra headers, for use at this origin alone; raises `crypto.Unreadable`."""
        if not self.headers:
            return {}
        found: dict[str, str] = json.loads(
            crypto.decrypt(bytes(self.headers), (*self._binding(origin), "headers"))
        )
        return found

    def set_headers(self, headers: dict[str, str], origin: str) -> None:
        """Store these headers for this origin, in place of all that are stored."""
        binding = (*self._binding(origin), "headers")
        self.headers = crypto.encrypt(json.dumps(headers), binding) if headers else b""
        self.header_names = sorted(headers)

    def reencrypt(self, origin: str) -> None:
        """Bring the secrets under the current encryption key, without saving; raises `crypto.Unreadable`."""
        key, headers = self.key_for(origin), self.headers_for(origin)
        if key:
            self.set_key(key, origin)
        self.set_headers(headers, origin)

    def _binding(self, origin: str) -> tuple[str, ...]:
        owner = "shared" if self.user_id is None else f"user {self.user_id}"
        return (owner, self.provider, origin)


MASK = "\u2022" * 4
# Four characters of a shorter key would give too much of it away.
SHORTEST_HINTED_KEY = 12


def hint(key: str) -> str:
    """Return what may be shown of a key."""
    if not key:
        return ""
    return MASK + key[-4:] if len(key) >= SHORTEST_HINTED_KEY else MASK


# SQLite would take any number, and fail where it does not fit in.
TOKENS = [MinValueValidator(1), MaxValueValidator(1_000_000_000)]
# Some cost nothing.
NOT_NEGATIVE = [MinValueValidator(Decimal(0))]


class ModelEntry(models.Model):
    """What staff say of a model; what they leave open the shipped catalogue says.

    Prices are US dollars per million tokens.
    """

    provider = models.CharField(_("provider"), max_length=50)
    model = models.CharField(
        _("model"),
        max_length=MAX_NAME_CHARS,
        validators=[
            RegexValidator(r"^[^*\s]*\*?\Z", _("A model's id has no blanks, and no * but at the end."))
        ],
        help_text=_(
            "The model's id, or the beginning of ids with * at the end. Capitals make no difference."
        ),
    )
    context_window = models.PositiveIntegerField(
        _("context window"), null=True, blank=True, validators=TOKENS, help_text=_("In tokens.")
    )
    max_output_tokens = models.PositiveIntegerField(
        _("most output tokens"), null=True, blank=True, validators=TOKENS
    )
    input_price = models.DecimalField(
        _("input price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=NOT_NEGATIVE,
        help_text=_("In US dollars per million tokens."),
    )
    cached_price = models.DecimalField(
        _("price of cached input"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=NOT_NEGATIVE,
    )
    output_price = models.DecimalField(
        _("output price"), max_digits=12, decimal_places=6, null=True, blank=True, validators=NOT_NEGATIVE
    )
    extra_body = models.JSONField(_("extra body fields"), blank=True, default=dict, help_text=EXTRA_BODY_HELP)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["provider", "model"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model"],
                name="one_entry_per_provider_and_model",
                violation_error_message=_("There already is an entry for this model."),
            )
        ]
        verbose_name = _("model entry")
        verbose_name_plural = _("model entries")

    def __str__(self) -> str:
        return f"{self.provider}: {self.model}"

    @property
    def entry(self) -> Entry:
        return Entry(
            self.context_window,
            self.max_output_tokens,
            self.input_price,
            self.cached_price,
            self.output_price,
        )
