"""Access and refresh tokens: who holds one is signed in, until it ends.

Both are bound to the password: changing it ends every token at once. How refresh
tokens are exchanged is in `accounts.rotation`. No token is stored; the blacklist
knows used ones by their id alone.
"""

from functools import lru_cache
from typing import Any, Self

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.utils import aware_utcnow

from accounts.models import User
from chatproject.prepared import Select

PASSWORD_CLAIM = "pwd"  # noqa: S105 (the claim's name)
# Which sign-in a token belongs to: all that follow from one pair share it.
SIGN_IN_CLAIM = "sid"

__all__ = [
    "AccessToken",
    "RefreshToken",
    "TokenError",
    "access_token",
    "holder",
    "pair",
    "purge_expired",
]

_ACTIVE = Select(lambda user: User.objects.filter(pk=user, is_active=True))


# The largest key that a database can be asked for has 19 digits.
_MOST_DIGITS = 18
_MOST_JTI_CHARS = 255


class BoundToken(tokens.Token):
    """A token that ends when its holder's password changes, which only their account can tell."""

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        """Read the text of a token, or make a new one. Raises `TokenError`, whatever a signed text says."""
        try:
            super().__init__(token, verify)
        except (ValueError, TypeError, OverflowError, OSError) as exc:
            raise TokenError("a moment in this token is none") from exc
        if token is not None and not self._is_sound():
            raise TokenError("a claim of this token is missing or of the wrong kind")

    def _is_sound(self) -> bool:
        """Tell whether the claims are of the kinds that `for_user` writes: the key may have signed others."""
        user, jti, mark, issued = (
            self.get(claim)
            for claim in (api_settings.USER_ID_CLAIM, api_settings.JTI_CLAIM, PASSWORD_CLAIM, "iat")
        )
        return (
            isinstance(user, str)
            and user.isdecimal()
            and len(user) <= _MOST_DIGITS
            and isinstance(jti, str)
            and jti.isalnum()
            and len(jti) <= _MOST_JTI_CHARS
            and isinstance(mark, str)
            and type(issued) is int
            and 0 <= issued <= self["exp"]
        )

    @classmethod
    def for_user(cls, user: User, sign_in: str = "") -> Self:  # type: ignore[override]  # this project's users
        token = cls()
        token[SIGN_IN_CLAIM] = sign_in or token[api_settings.JTI_CLAIM]
        token[api_settings.USER_ID_CLAIM] = str(user.pk)
        token[PASSWORD_CLAIM] = _password_mark(user)
        return token

    @property
    def named(self) -> User:
        """Whom it was given to, of whom nothing has been read yet but what it says itself."""
        return User.from_db(DEFAULT_DB_ALIAS, ["id"], [int(self[api_settings.USER_ID_CLAIM])])

    def admits(self, holder: User) -> bool:
        """Tell whether it still lets its holder in, going by what has been read of them."""
        return holder.is_active and constant_time_compare(self[PASSWORD_CLAIM], _password_mark(holder))


class AccessToken(BoundToken, tokens.AccessToken):
    pass


class RefreshToken(BoundToken, tokens.RefreshToken):  # type: ignore[misc]  # our `for_user`, not theirs
    access_token_class = AccessToken

    def verify(self, *args: Any, **kwargs: Any) -> None:
        # simplejwt also asks the blacklist; `accounts.rotation` does that in a way that cannot be raced.
        tokens.Token.verify(self)

    @property
    def sign_in(self) -> str:
        """Name the sign-in that this token follows from."""
        return str(self.get(SIGN_IN_CLAIM) or self[api_settings.JTI_CLAIM])


def access_token(text: str) -> AccessToken:
    """Read an access token; raises `TokenError`. Nobody may change it: others are given the same.

    What is true of its text for good is found out once, and whether it has ended every time.
    """
    token = _read(text)
    token.check_exp(current_time=aware_utcnow())
    return token


@lru_cache(maxsize=1024)
def _read(text: str) -> AccessToken:
    return AccessToken(text)


def holder(token: BoundToken) -> User | None:
    """Return whose token this is, or None where it has ended with the account or the password."""
    user = active_user(token[api_settings.USER_ID_CLAIM])
    return user if user is not None and token.admits(user) else None


def active_user(key: str) -> User | None:
    """Return the user whose key this is, if they may sign in."""
    return _ACTIVE.first(int(key)) if key.isdecimal() else None


def pair(user: User, sign_in: str = "") -> dict[str, str]:
    """Make a pair of tokens, of a new sign-in or of one that goes on."""
    refresh = RefreshToken.for_user(user, sign_in)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def purge_expired() -> int:
    """Forget the ended tokens that would be refused for their age anyway."""
    return OutstandingToken.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _password_mark(user: User) -> str:
    # A token's claims can be read by whoever holds it: they must not give the session's hash away.
    return salted_hmac("accounts.tokens", user.get_session_auth_hash(), algorithm="sha256").hexdigest()[:32]
