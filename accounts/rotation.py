"""Exchanging refresh tokens. All tokens that follow from one sign-in are a family.

A token is good for one use. For a short while the same use gives the same answer again: the answer may have
been lost, and several tabs may ask at once. A use after that means that two parties hold the token, and
ends the family. The successor is derived from the token that was used, so no token is ever stored.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.models import User
from accounts.tokens import PASSWORD_CLAIM, RefreshToken, holder

logger = logging.getLogger(__name__)

# How long the same token gives the same successor.
GRACE = timedelta(seconds=30)

JTI = api_settings.JTI_CLAIM


def rotated(text: str) -> dict[str, str]:
    """Exchange a refresh token for its successor and an access token; raises `TokenError`."""
    token = RefreshToken(text)
    user = holder(token)
    if user is None or has_ended(token):
        raise TokenError("this token has ended")
    used_at = first_use(token)
    if timezone.now() - used_at > GRACE:
        end_family(token)
        logger.warning("a sign-in of user %s has ended: one of its refresh tokens was used twice", user.pk)
        raise TokenError("this token was used before")
    return successor(token, user, used_at)


def end(text: str) -> None:
    """End the sign-in of a refresh token; raises `TokenError` for a text that never was one of ours."""
    try:
        end_family(RefreshToken(text))
    except ExpiredTokenError:
        return


def first_use(token: RefreshToken) -> datetime:
    """Mark the token as used and return when it was, by whichever request came first."""
    return _mark(token[JTI], datetime_from_epoch(token["exp"]))


def has_ended(token: RefreshToken) -> bool:
    return BlacklistedToken.objects.filter(token__jti=_family_name(token)).exists()


def end_family(token: RefreshToken) -> None:
    """Refuse every token of the family, those that are still to be derived included."""
    # No token of the family is issued from now on, so none of them lives longer than one issued now.
    _mark(_family_name(token), timezone.now() + api_settings.REFRESH_TOKEN_LIFETIME)


def _family_name(token: RefreshToken) -> str:
    # A new password begins a new family of the same sign-in. Hashed, since both may be any text.
    members = ascii((token.sign_in, token[PASSWORD_CLAIM]))
    # The id of a token has letters and digits only, so none can be taken for this name.
    return f"family:{_derived('family', members)}"


def _mark(name: str, expires_at: datetime) -> datetime:
    """Store a name in the blacklist, unless it is there, and return since when it has been there."""
    with transaction.atomic():
        known, _ = OutstandingToken.objects.get_or_create(
            jti=name, defaults={"created_at": timezone.now(), "expires_at": expires_at, "token": ""}
        )
        return BlacklistedToken.objects.get_or_create(token=known)[0].blacklisted_at


def successor(token: RefreshToken, user: User, used_at: datetime) -> dict[str, str]:
    """Return the pair that follows a token used at this moment: the same text every time."""
    refresh = RefreshToken.for_user(user, token.sign_in)
    refresh.current_time = used_at
    refresh.set_iat(at_time=used_at)
    refresh.set_exp(from_time=used_at)
    refresh[JTI] = _derived("refresh", token[JTI])
    access = refresh.access_token
    access.set_iat(at_time=used_at)
    access[JTI] = _derived("access", token[JTI])
    return {"access": str(access), "refresh": str(refresh)}


def _derived(kind: str, text: str) -> str:
    return salted_hmac(f"accounts.rotation.{kind}", text, algorithm="sha256").hexdigest()[:32]
