"""How often one may try to sign in or register."""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.usernames import fold
from chatproject import limits

# Many people may share one address, and one address must not lock the owner of an
# account out: what is counted over all accounts, or over all addresses, may be more.
WIDER = 10


def count_sign_in(request: HttpRequest | Request, username: str) -> None:
    """Count one try of an address at an account, and of each with all others; raises `Throttled`."""
    rate = settings.LOGIN_RATE_LIMIT
    number, _, period = rate.partition("/")
    wider = f"{int(number) * WIDER}/{period}"
    address, account = limits.address_of(request), fold(username)
    limits.count(request, group="login", key=f"{address} {account}", rate=rate)
    limits.count(request, group="login-address", key=address, rate=wider)
    limits.count(request, group="login-account", key=account, rate=wider)


def count_registration(request: HttpRequest | Request) -> None:
    rate = settings.REGISTER_RATE_LIMIT
    limits.count(request, group="register", key=limits.address_of(request), rate=rate)


def count_password_try(request: HttpRequest | Request) -> None:
    """Count one try of somebody signed in to name the password they have; raises `Throttled`."""
    limits.count(request, group="password", key=str(request.user.pk), rate=settings.LOGIN_RATE_LIMIT)
