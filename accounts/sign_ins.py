"""One sign-in among those of a person: what it shows for itself, and which one a change leaves signed in."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare

from accounts.models import User
from accounts.tokens import SIGN_IN_CLAIM, BoundToken

# The key in a session that tells which sign-in it is, once its own key has changed.
_SIGN_IN_KEY = "sign_in"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in by which something was begun that may last."""

    user_id: int
    id: str
    admits: Callable[[User], bool]

    def is_over(self, user: User | None) -> bool:
        """Tell, going by the account as it is now, whether this sign-in has ended."""
        if user is None or not user.is_active:
            return True
        return not self.admits(user) and not user.keeps(self.id)


def by_token(token: BoundToken) -> SignIn:
    return SignIn(int(token["user_id"]), id_of(token), token.admits)


def by_session(session: SessionBase, user: User) -> SignIn:
    given = str(session.get(HASH_SESSION_KEY, ""))

    def admits(user: User) -> bool:
        known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
        return any(constant_time_compare(given, expected) for expected in known)

    return SignIn(user.pk, id_of(session), admits)


def id_of(auth: object) -> str:
    """Return the name of the sign-in that a token or a session belongs to; it outlives both."""
    if isinstance(auth, BoundToken):
        return f"token {auth.get(SIGN_IN_CLAIM) or auth['jti']}"
    if isinstance(auth, SessionBase):
        return str(auth.get(_SIGN_IN_KEY) or f"session {auth.session_key}")
    return ""


def remember(session: SessionBase, sign_in: str) -> None:
    """Let a session keep its name, although it gets another key."""
    session[_SIGN_IN_KEY] = sign_in
