"""Changing provider settings; the API and the admin both come through here."""

import re
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from providers import base_urls, crypto
from providers.addresses import check_url, origin
from providers.errors import AddressRefused
from providers.models import ProviderConfig
from providers.registry import PROVIDERS, ProviderSpec
from providers.resolve import base_url_of

MAX_KEY_CHARS = 4096
_API_VERSION = re.compile(r"\?api-version=[\w.-]{1,40}\Z", re.ASCII)

ENTER_KEY_AGAIN = _("The key belongs to another address. Enter it again for this one.")
NO_SUCH_KEY = _("An API key has printable ASCII characters only, no spaces, and at most 4096 of them.")
BASE_URL_NEEDED = _("This provider needs a base URL.")
NO_VERSION_HERE = _("Only Azure's base URL has an api-version behind it.")
KEY_NEEDED = _("This provider needs an API key.")


def checked_key(text: str) -> str:
    """Return a key without the blanks that came along when it was pasted; raises `ValidationError`."""
    key = text.strip()
    if len(key) > MAX_KEY_CHARS or not all("!" <= character <= "~" for character in key):
        raise ValidationError(NO_SUCH_KEY)
    return key


def checked_url(text: str) -> str:
    """Return a base URL in its normal form; "" stays "". Raises `ValidationError`.

    A name is also looked up: it is better to say at once that its address will be refused.
    Azure shows its addresses with a version behind them, which is kept.
    """
    if not text.strip():
        return ""
    address = base_urls.without_alt(text.strip())
    version = _API_VERSION.search(address)
    address = address.removesuffix(version[0]) if version else address
    try:
        checked = check_url(address, allow_private=settings.ALLOW_PRIVATE_PROVIDER_HOSTS, resolve=True)
        return checked + version[0] if version else checked
    except AddressRefused as exc:
        raise ValidationError(exc.text) from exc


def fitting(spec: ProviderSpec, base_url: str) -> str:
    """Return the base URL that a checked address means here; raises `ValidationError` by field."""
    if not base_url:
        raise ValidationError({"base_url": BASE_URL_NEEDED})
    if "?" in base_url and spec.protocol != "azure":
        raise ValidationError({"base_url": NO_VERSION_HERE})
    return base_urls.without_call(spec.protocol, base_url)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to change; None leaves it as it is. All of it is checked already."""

    api_key: str | None = None
    base_url: str | None = None
    default_model: str | None = None
    enabled: bool | None = None


def apply(spec: ProviderSpec, row: ProviderConfig, changes: Changes) -> None:
    """Change a row that is not saved yet or is locked; raises `ValidationError` by field.

    A stored key never follows its row to another origin: it has to be entered again.
    """
    before = origin(base_url_of(spec, row))
    given = row.base_url if changes.base_url is None else changes.base_url
    base_url = fitting(spec, given or spec.base_url)
    if changes.base_url is not None:
        # What is the default anyway is stored as such.
        row.base_url = "" if base_url == spec.base_url else base_url
    after = origin(base_url)
    if changes.api_key is not None:
        row.set_key(changes.api_key, after)
    elif row.has_key and after != before:
        raise ValidationError({"api_key": ENTER_KEY_AGAIN})
    if changes.default_model is not None:
        row.default_model = changes.default_model
    if changes.enabled is not None:
        row.enabled = changes.enabled


def save_config(*, user: Any, spec: ProviderSpec, changes: Changes) -> ProviderConfig:
    """Create or change the settings of a user, or, without one, the shared ones."""
    try:
        return _save_config(user=user, spec=spec, changes=changes)
    except IntegrityError:
        # Somebody created the same row in the meantime: now it is a change.
        return _save_config(user=user, spec=spec, changes=changes)


@transaction.atomic
def _save_config(*, user: Any, spec: ProviderSpec, changes: Changes) -> ProviderConfig:
    locked = ProviderConfig.objects.select_for_update()
    row = locked.filter(user=user, provider=spec.id).first() or ProviderConfig(user=user, provider=spec.id)
    apply(spec, row, changes)
    row.save()
    return row


@dataclass(slots=True)
class Rotation:
    """What a rotation did, row by row."""

    renewed: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def rotate_keys(*, batch: int = 200) -> Rotation:
    """Bring every stored key under the first of `FIELD_ENCRYPTION_KEYS`; safe while the service runs.

    A row that cannot be read is left as it is. One that changes meanwhile was
    written under the current key already, and is not overwritten.
    """
    outcome = Rotation()
    rows = ProviderConfig.objects.exclude(api_key=b"").order_by("pk")
    last = 0
    while page := list(rows.filter(pk__gt=last)[:batch]):
        for row in page:
            _rotate(row, outcome)
        last = page[-1].pk
    return outcome


def _rotate(row: ProviderConfig, outcome: Rotation) -> None:
    spec = PROVIDERS.get(row.provider)
    before = bytes(row.api_key)
    try:
        if spec is None:
            raise crypto.Unreadable
        after = row.reencrypt(origin(base_url_of(spec, row)))
    except crypto.Unreadable:
        outcome.unreadable.append(f"{row.pk}: {row}")
        return
    if crypto.is_current(before):
        outcome.current += 1
    else:
        unchanged = ProviderConfig.objects.filter(pk=row.pk, api_key=before)
        outcome.renewed += unchanged.update(api_key=after)
