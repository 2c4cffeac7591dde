"""How often one may try to sign in or register."""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.usernames import fold
from chatproject import limits

# One address must not lock the owner of an account out, so the limit of an
# account over all addresses is wider than that of an address.
ADDRESSES_PER_ACCOUNT = 10


def count_sign_in(request: HttpRequest | Request, username: str) -> None:
    """Count one try, against its address and its account; raises `Throttled`."""
    rate = settings.LOGIN_RATE_LIMIT
    limits.count(request, group="login-address", key=limits.address_of(request), rate=rate)
    number, _, period = rate.partition("/")
    wider = f"{int(number) * ADDRESSES_PER_ACCOUNT}/{period}"
    limits.count(request, group="login-account", key=fold(username), rate=wider)


def count_registration(request: HttpRequest | Request) -> None:
    rate = settings.REGISTER_RATE_LIMIT
    limits.count(request, group="register", key=limits.address_of(request), rate=rate)


def count_password_try(request: HttpRequest | Request) -> None:
    """Count one try of somebody signed in to name the password they have; raises `Throttled`."""
    limits.count(request, group="password", key=str(request.user.pk), rate=settings.LOGIN_RATE_LIMIT)
