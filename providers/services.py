"""Changing provider settings; the API and the admin both come through here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from providers import base_urls, bodies, crypto, headers, servers
from providers.addresses import check_url, origin
from providers.errors import AddressRefused
from providers.models import SERVER_NAME_TAKEN, ProviderConfig
from providers.resolve import base_url_of, headers_of
from providers.specs import ProviderSpec
from providers.text import clean_text

MAX_KEY_CHARS = 4096
_API_VERSION = re.compile(r"\?api-version=[\w.-]{1,40}\Z", re.ASCII)

ENTER_KEY_AGAIN = _("The key belongs to another address. Enter it again for this one.")
NO_SUCH_KEY = _("An API key has printable ASCII characters only, no spaces, and at most 4096 of them.")
BASE_URL_NEEDED = _("This provider needs a base URL.")
NO_VERSION_HERE = _("Only Azure's base URL has an api-version behind it.")
KEY_NEEDED = _("This provider needs an API key.")
NO_SUCH_PROVIDER = _("There is no such provider.")
NO_SUCH_SLUG = _(
    "After “custom:” come at most 40 small letters, digits and dashes, with no dash at either end; not “new”."
)
ONLY_SERVERS = _("Only a server of your own (custom:…) has this.")
NO_SUCH_NAME = _("A name has letters or digits, and at most 80 characters.")
TOO_MANY_SERVERS = _("There are %(most)s servers already, and no more can be added.")
ENTER_HEADERS_AGAIN = _("The extra headers belong to another address. Enter them again for this one.")
NO_SUCH_HEADER = _(
    "“%(name)s” is no header: names and values are printable ASCII on one line, and not too long."
)
HEADER_REFUSED = _("The header “%(name)s” cannot be added: the service decides on it itself.")
NO_COLON = _("Write each header on a line of its own, as name: value.")
HEADER_TWICE = _("The header “%(name)s” is there twice.")
TOO_MANY_HEADERS = _("At most 20 headers can be added, of 8000 characters in all.")
NO_SUCH_BODY = _("The extra body fields are one JSON object of at most 4000 bytes, at most 8 levels deep.")
BODY_RESERVED = _("The service says this itself: %(names)s")


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


def checked_server_name(text: str) -> str:
    """Return a server's name as it can be shown; raises `ValidationError`."""
    name = servers.cleaned_name(text)
    if not name or len(name) > servers.MAX_NAME_CHARS:
        raise ValidationError(NO_SUCH_NAME)
    return name


def headers_from_lines(text: str) -> dict[str, str | None]:
    """Return the headers of a form's field, one per line; raises `ValidationError`."""
    found: dict[str, str | None] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            # The whole line is not repeated: it may be a secret without its name.
            raise ValidationError(NO_COLON)
        if name.strip().lower() in {other.strip().lower() for other in found}:
            raise ValidationError(HEADER_TWICE, params={"name": shown(name.strip())})
        found[name] = value
    return found


def checked_headers(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return headers in their normal form; an empty value stands for none. Raises `ValidationError`."""
    checked: dict[str, str] = {}
    for name, value in given.items():
        try:
            name, value = headers.checked_header(name, value or "")
        except headers.HeaderUnreadable as exc:
            raise ValidationError(NO_SUCH_HEADER, params={"name": shown(exc.name)}) from exc
        except headers.HeaderRefused as exc:
            raise ValidationError(HEADER_REFUSED, params={"name": shown(exc.name)}) from exc
        if name in checked:
            raise ValidationError(HEADER_TWICE, params={"name": name})
        checked[name] = value
    return checked


def checked_body(fields: Any) -> dict[str, Any]:
    """Return fields that can be added to a request's body; raises `ValidationError`."""
    if not bodies.fits(fields):
        raise ValidationError(NO_SUCH_BODY)
    if reserved := sorted(bodies.RESERVED.intersection(fields)):
        raise ValidationError(BODY_RESERVED, params={"names": ", ".join(reserved)})
    return dict(fields)


def shown(text: str) -> str:
    """Return a name that was given as a text can repeat it."""
    return "".join(char for char in clean_text(text[:100]) if char.isprintable())


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to change; None leaves it as it is. All of it is checked already."""

    api_key: str | None = None
    base_url: str | None = None
    default_model: str | None = None
    enabled: bool | None = None
    # Of a server of one's own.
    name: str | None = None
    protocol: str | None = None
    # Those named here are stored, or deleted where the value is empty; the others stay.
    headers: Mapping[str, str] | None = None
    extra_body: Mapping[str, Any] | None = None


def apply(row: ProviderConfig, changes: Changes) -> None:
    """Change a row that is not saved yet or is locked; raises `ValidationError` by field."""
    alter(row, changes)
    if row.is_server:
        _check_server(row)


def alter(row: ProviderConfig, changes: Changes) -> None:
    """Change a row by all rules that need no database; raises `ValidationError` by field.

    Stored secrets never follow their row to another origin: they have to be entered again.
    """
    before = row.spec
    if before is None:
        raise ValidationError({"provider": NO_SUCH_PROVIDER})
    old_origin = origin(base_url_of(before, row))
    _name(row, changes)
    spec = row.spec or before
    given = row.base_url if changes.base_url is None else changes.base_url
    base_url = fitting(spec, given or spec.base_url)
    if changes.base_url is not None:
        # What is the default anyway is stored as such.
        row.base_url = "" if base_url == spec.base_url else base_url
    _apply_secrets(row, changes, old_origin, origin(base_url))
    if changes.default_model is not None:
        row.default_model = changes.default_model
    if changes.enabled is not None:
        row.enabled = changes.enabled
    if changes.extra_body is not None:
        row.extra_body = dict(changes.extra_body)


def _name(row: ProviderConfig, changes: Changes) -> None:
    """Change the name and the protocol, which only a server of one's own has."""
    if row.is_server:
        row.name = changes.name or row.name or servers.slug_of(row.provider)
        row.protocol = changes.protocol or row.protocol or servers.DEFAULT_PROTOCOL
    elif changes.name is not None or changes.protocol is not None:
        raise ValidationError({"protocol" if changes.name is None else "name": ONLY_SERVERS})


def _check_server(row: ProviderConfig) -> None:
    if servers.slug_of(row.provider) in servers.RESERVED:
        raise ValidationError({"provider": NO_SUCH_SLUG})
    others = ProviderConfig.objects.servers().filter(user=row.user).exclude(pk=row.pk)
    names = {name.casefold() for name in others.values_list("name", flat=True)}
    if row._state.adding and len(names) >= servers.MOST_SERVERS:
        too_many = ValidationError(TOO_MANY_SERVERS, params={"most": servers.MOST_SERVERS})
        raise ValidationError({"provider": too_many})
    if row.name.casefold() in names:
        raise ValidationError({"name": SERVER_NAME_TAKEN})


def _apply_secrets(row: ProviderConfig, changes: Changes, before: str, after: str) -> None:
    if changes.api_key is not None:
        row.set_key(changes.api_key, after)
    elif row.has_key and after != before:
        raise ValidationError({"api_key": ENTER_KEY_AGAIN})
    wanted = changes.headers or {}
    if after != before and not set(wanted).issuperset(row.header_names):
        raise ValidationError({"headers": ENTER_HEADERS_AGAIN})
    if wanted:
        # What can no longer be read can still be replaced.
        kept = headers_of(row, after) if set(row.header_names) - set(wanted) else {}
        merged = {name: value for name, value in {**kept, **wanted}.items() if value}
        if not headers.fit(merged):
            raise ValidationError({"headers": TOO_MANY_HEADERS})
        row.set_headers(merged, after)


def save_config(*, user: Any, provider: str, changes: Changes) -> ProviderConfig:
    """Create or change the settings of a user, or, without one, the shared ones."""
    try:
        return _save_config(user=user, provider=provider, changes=changes)
    except IntegrityError:
        # Somebody created the same row, or a server of the same name, in the meantime.
        return _save_config(user=user, provider=provider, changes=changes)


@transaction.atomic
def _save_config(*, user: Any, provider: str, changes: Changes) -> ProviderConfig:
    if user is not None and servers.is_server(provider):
        # A person's servers are counted one after the other. Of shared ones, staff may make one too many.
        list(get_user_model().objects.select_for_update(no_key=True).filter(pk=user.pk).values_list("pk"))
    locked = ProviderConfig.objects.select_for_update()
    row = locked.filter(user=user, provider=provider).first() or ProviderConfig(user=user, provider=provider)
    apply(row, changes)
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
    rows = ProviderConfig.objects.exclude(api_key=b"", headers=b"").order_by("pk")
    last = 0
    while page := list(rows.filter(pk__gt=last)[:batch]):
        for row in page:
            _rotate(row, outcome)
        last = page[-1].pk
    return outcome


def _rotate(row: ProviderConfig, outcome: Rotation) -> None:
    spec = row.spec
    before = {"api_key": bytes(row.api_key), "headers": bytes(row.headers)}
    try:
        if spec is None:
            raise crypto.Unreadable
        row.reencrypt(origin(base_url_of(spec, row)))
    except crypto.Unreadable:
        outcome.unreadable.append(f"{row.pk}: {row}")
        return
    if all(map(crypto.is_current, filter(None, before.values()))):
        outcome.current += 1
    else:
        unchanged = ProviderConfig.objects.filter(pk=row.pk, **before)
        outcome.renewed += unchanged.update(api_key=row.api_key, headers=row.headers)
