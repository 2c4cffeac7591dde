"""The two ways to be somebody: a bearer token, or the page's session cookie.

Both end at once when the account is deactivated or its password changes. Where
a bearer token is given it alone counts: a bad one is refused, cookie or not.
"""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import sign_ins
from accounts.models import User
from accounts.refusals import CsrfFailed, OtherUser
from accounts.tokens import AccessToken, TokenError, access_token, active_user, holder
from chatproject.errors import log_csrf_failure

# A token of ours has about 300 characters; more is not worth decoding.
MAX_TOKEN_CHARS = 4096
# Whose page it is that asks. A page stays open while somebody else signs in in another tab.
PAGE_OF = "X-Chat-User"


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        scheme, _, credentials = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        credentials = credentials.strip()
        if not credentials.isascii() or len(credentials) > MAX_TOKEN_CHARS:
            raise AuthenticationFailed
        try:
            token = access_token(credentials)
        except TokenError as exc:
            raise AuthenticationFailed from exc
        request._request.sign_in = sign_ins.by_token(token)  # type: ignore[attr-defined]  # for what may last
        if request.method in getattr(request.parser_context.get("view"), "admits_users", ()):
            return token.named, token
        user = holder(token)
        if user is None:
            raise AuthenticationFailed
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class SessionCookieAuthentication(BaseAuthentication):
    """The cookie that the sign-in page set. The API has no session middleware, so it is read here."""

    def authenticate(self, request: Request) -> tuple[User, SessionBase] | None:
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if not key:
            return None
        session: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
        user = session_user(session)
        if user is None:
            return None
        enforce_csrf(request._request)
        if request.headers.get(PAGE_OF, str(user.pk)) != str(user.pk):
            raise OtherUser
        request._request.sign_in = sign_ins.by_session(session, user)  # type: ignore[attr-defined]
        return user, session


def session_user(session: SessionBase) -> User | None:
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = active_user(session.get(SESSION_KEY, ""))
    if user is None:
        return None
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    given = session.get(HASH_SESSION_KEY, "")
    return user if any(constant_time_compare(given, expected) for expected in known) else None


def enforce_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(lambda _: None)  # type: ignore[arg-type]  # asked, never called
    check.process_request(request)
    # It looks at the view only to see whether it is exempt; ours are not.
    if reason := check.process_view(request, _checked_view, (), {}):
        log_csrf_failure(request, str(reason))
        raise CsrfFailed


def _checked_view(request: HttpRequest) -> HttpResponse:
    raise AssertionError("stands for an API view, and is never called")
