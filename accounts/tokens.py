"""Access and refresh tokens: who holds one is signed in, until it ends.

Both are bound to the password: changing it ends every token at once. A refresh
token is good for one use. None of them is stored; the blacklist knows ended
ones by their id alone.
"""

from functools import lru_cache
from typing import Any, Self

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.utils import aware_utcnow, datetime_from_epoch

from accounts.models import User
from chatproject.prepared import Select

PASSWORD_CLAIM = "pwd"  # noqa: S105 (the claim's name)

__all__ = [
    "AccessToken",
    "RefreshToken",
    "TokenError",
    "access_token",
    "end",
    "holder",
    "pair",
    "purge_expired",
    "rotated",
]

_ACTIVE = Select(lambda user: User.objects.filter(pk=user, is_active=True))


class BoundToken(tokens.Token):
    """A token that ends when its holder's password changes, which only their account can tell."""

    @classmethod
    def for_user(cls, user: User) -> Self:  # type: ignore[override]  # this project's users only
        token = cls()
        token[api_settings.USER_ID_CLAIM] = str(user.pk)
        token[PASSWORD_CLAIM] = _password_mark(user)
        return token

    @property
    def named(self) -> User:
        """Whom it was given to, of whom nothing has been read yet but what it says itself."""
        key = self.get(api_settings.USER_ID_CLAIM, "")
        return User.from_db(DEFAULT_DB_ALIAS, ["id"], [int(key) if key.isdecimal() else 0])

    def admits(self, holder: User) -> bool:
        """Tell whether it still lets its holder in, going by what has been read of them."""
        return holder.is_active and constant_time_compare(
            self.get(PASSWORD_CLAIM, ""), _password_mark(holder)
        )


class AccessToken(BoundToken, tokens.AccessToken):
    pass


class RefreshToken(BoundToken, tokens.RefreshToken):  # type: ignore[misc]  # our `for_user`, not theirs
    access_token_class = AccessToken

    def verify(self, *args: Any, **kwargs: Any) -> None:
        # Whether it was used already is told by `end`, which cannot be raced.
        tokens.Token.verify(self)

    def end(self) -> bool:
        """Refuse this token from now on; tell whether it was this call that ended it."""
        with transaction.atomic():
            known, _ = OutstandingToken.objects.get_or_create(
                jti=self[api_settings.JTI_CLAIM],
                defaults={
                    "created_at": datetime_from_epoch(self["iat"]),
                    "expires_at": datetime_from_epoch(self["exp"]),
                    "token": "",
                },
            )
            return BlacklistedToken.objects.get_or_create(token=known)[1]


def access_token(text: str) -> AccessToken:
    """Read an access token; raises `TokenError`. Nobody may change it: others are given the same.

    What is true of its text for good is found out once, and whether it has ended every time.
    """
    token = _read(text)
    token.check_exp(current_time=aware_utcnow())
    return token


@lru_cache(maxsize=1024)
def _read(text: str) -> AccessToken:
    # simplejwt's annotations ask for a token where its code takes the text of one.
    return AccessToken(text)  # type: ignore[arg-type]


def holder(token: BoundToken) -> User | None:
    """Return whose token this is, or None where it has ended with the account or the password."""
    user = active_user(token.get(api_settings.USER_ID_CLAIM, ""))
    return user if user is not None and token.admits(user) else None


def active_user(key: str) -> User | None:
    """Return the user whose key this is, if they may sign in."""
    return _ACTIVE.first(int(key)) if key.isdecimal() else None


def rotated(text: str) -> dict[str, str]:
    """Exchange a refresh token for a new pair; raises `TokenError`.

    Of several who try with the same token at once, exactly one succeeds.
    """
    token = RefreshToken(text)  # type: ignore[arg-type]  # its text, whatever simplejwt's annotation says
    user = holder(token)
    if user is None or not token.end():
        raise TokenError("this token has ended")
    return pair(user)


def end(text: str) -> None:
    """Refuse a refresh token from now on; raises `TokenError` for what never was one of ours."""
    try:
        RefreshToken(text).end()  # type: ignore[arg-type]  # as above
    except ExpiredTokenError:
        return


def pair(user: User) -> dict[str, str]:
    refresh = RefreshToken.for_user(user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def purge_expired() -> int:
    """Forget the ended tokens that would be refused for their age anyway."""
    return OutstandingToken.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _password_mark(user: User) -> str:
    # A token's claims can be read by whoever holds it: they must not give the session's hash away.
    return salted_hmac("accounts.tokens", user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:32]
