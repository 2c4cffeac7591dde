"""How often somebody may do something: django-ratelimit's counting, refused in the one error shape.

Its decorator cannot be used: it knows neither async views nor who DRF has
signed in. What is counted within a transaction that is rolled back has not been
counted, unless Redis counts.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request

from chatproject.errors import Throttled
from chatproject.prepared import Sql


class RateLimit(NamedTuple):
    """What a request has left of a rate."""

    limit: int
    remaining: int
    reset: int  # seconds

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


def count(request: HttpRequest | Request, *, group: str, key: str, rate: str) -> None:
    """Count one more of `group` for `key`; raises `Throttled` where the rate is used up."""
    usage = get_usage(request, group=group, key=lambda *_: key, rate=rate, increment=True)
    if usage is not None:
        # Where the cache does not answer, nothing is left of a limit of 0.
        count = usage["limit"] + 1 if usage["should_limit"] else usage["count"]
        _check(request, usage["limit"], count, usage["time_left"])


def _check(request: HttpRequest | Request, limit: int, count: int, time_left: int) -> None:
    """Note for the response what is left, of several limits the least; raise `Throttled` beyond the limit."""
    http: Any = getattr(request, "_request", request)
    left = RateLimit(limit, max(limit - count, 0), max(time_left, 1))
    noted: RateLimit | None = getattr(http, "rate_limit", None)
    if noted is None or left.remaining < noted.remaining or count > limit:
        http.rate_limit = left
    if count > limit:
        raise Throttled(retry_after=left.reset)


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts one more, when it is run, and returns how many there are then."""

    request: HttpRequest | Request
    statement: Sql
    values: Sequence[Any]
    limit: int
    time_left: int

    def check(self, count: int) -> None:
        """Raise `Throttled` where the rate is used up."""
        _check(self.request, self.limit, count, self.time_left)


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
    return Counting(request, statement, values, usage["limit"], usage["time_left"])


def headers_of(request: HttpRequest, status: int) -> dict[str, str]:
    """Return what a response says of the limit that its request was counted against."""
    noted: RateLimit | None = getattr(request, "rate_limit", None)
    # What is refused for another reason has not been counted in the end.
    return noted.headers() if noted is not None and (status < 400 or status == 429) else {}


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
