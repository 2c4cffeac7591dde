"""How often somebody may do something: django-ratelimit's counting, refused in the one error shape.

Its decorator cannot be used: it knows neither async views nor who DRF has
signed in. What is counted within a transaction that is rolled back has not been
counted, unless Redis counts.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request

from chatproject.errors import Throttled
from chatproject.prepared import Sql


def count(request: HttpRequest | Request, *, group: str, key: str, rate: str) -> None:
    """Count one more of `group` for `key`; raises `Throttled` where the rate is used up."""
    usage = get_usage(request, group=group, key=lambda *_: key, rate=rate, increment=True)
    if usage is not None and usage["should_limit"]:
        raise Throttled(retry_after=max(usage["time_left"], 1))


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts one more, when it is run, and returns how many there are then."""

    statement: Sql
    values: Sequence[Any]
    limit: int
    time_left: int

    def check(self, count: int) -> None:
        """Raise `Throttled` where the rate is used up."""
        if count > self.limit:
            raise Throttled(retry_after=max(self.time_left, 1))


def counting(request: HttpRequest | Request, *, group: str, key: str, rate: str) -> Counting | None:
    """Return what counts the same as `count`, to be run together with other statements.

    None where it is not counted by a statement; then `count` has to be called.
    """
    cache: Any = caches[settings.RATELIMIT_USE_CACHE]
    if not getattr(cache, "can_note", False):
        return None
    with cache.noting() as noted:
        usage = get_usage(request, group=group, key=lambda *_: key, rate=rate, increment=True)
    if usage is None or not noted:
        return None
    ((statement, values),) = noted
    return Counting(statement, values, usage["limit"], usage["time_left"])


def address_of(request: HttpRequest | Request) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network that one IPv6 line is given."""
    told = str(request.META.get("REMOTE_ADDR") or "unknown")
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        return told
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False).network_address)
