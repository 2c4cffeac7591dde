"""How often somebody may do something: django-ratelimit's counting, refused in the one error shape.

Its decorator cannot be used: it knows neither async views nor who DRF has
signed in. What is counted within a
transaction that is rolled back has not been counted, unless Redis counts.
"""

import ipaddress

from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request

from chatproject.errors import Throttled


def count(request: HttpRequest | Request, *, group: str, key: str, rate: str) -> None:
    """Count one more of `group` for `key`; raises `Throttled` where the rate is used up."""
    usage = get_usage(request, group=group, key=lambda *_: key, rate=rate, increment=True)
    if usage is not None and usage["should_limit"]:
        raise Throttled(retry_after=max(usage["time_left"], 1))


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
