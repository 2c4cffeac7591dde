"""Typed readers of the environment. They refuse nonsense, naming the variable."""

import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE:
        return True
    if value.strip().lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be 0 or 1.")


def env_int(name: str, default: int, *, minimum: int = 1, maximum: int | None = None) -> int:
    value = env_str(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}.")
    if maximum is not None and number > maximum:
        raise ImproperlyConfigured(f"{name} must be at most {maximum}.")
    return number


def env_float(name: str, default: float) -> float:
    value = env_str(name)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number of seconds.") from None
    if not 0 < number < float("inf"):
        raise ImproperlyConfigured(f"{name} must be more than 0.")
    return number


def env_list(name: str, default: list[str]) -> list[str]:
    value = env_str(name)
    return [item.strip() for item in value.split(",") if item.strip()] if value else default


# An origin as a browser writes it: apps in a web view have schemes of their own, such as capacitor://localhost.
_HOST = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_ORIGIN = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<wildcard>\*\.)?(?:{_HOST}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def env_origins(name: str, *, subdomains: bool = False) -> list[str]:
    """Return a list of origins, each in the form in which a browser sends it.

    `subdomains` also allows `https://*.example.com`.
    """
    return [_origin(name, item, subdomains) for item in env_list(name, [])]


def _origin(name: str, item: str, subdomains: bool) -> str:
    found = _ORIGIN.fullmatch(item.lower())
    if found is None or (found["wildcard"] and not subdomains):
        raise ImproperlyConfigured(
            f"{name} holds {item!r}, which is no origin. Write scheme and host, such as https://chat.example.com"
            " or http://localhost:3000: no path, no slash at the end, no wildcard, and no null."
        )
    port = int(found["port"]) if found["port"] else None
    if port is not None and (port > 65535 or port == _DEFAULT_PORTS.get(found["scheme"])):
        raise ImproperlyConfigured(
            f"{name} holds {item!r}, whose port no browser sends: it is over 65535, or its scheme's default."
        )
    return found[0]


def env_secret(name: str) -> str:
    """Return the secret `name`, or the contents of the file that `name`_FILE points to."""
    if value := env_str(name):
        return value
    path = env_str(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {exc.strerror}.") from None
