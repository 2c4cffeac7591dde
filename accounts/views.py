"""The accounts API: who you are, and the tokens that prove it."""

from functools import partial
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, authenticate
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import limits, refusals, rotation, sign_ins, tokens
from accounts.hashing import Busy, with_hashing
from accounts.models import User
from accounts.serializers import (
    LoginSerializer,
    PasswordSerializer,
    RefreshSerializer,
    RegisterSerializer,
    SignedInSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from chatproject.api import AsyncAPIView, Continuation
from chatproject.db import in_db
from chatproject.errors import Throttled
from chatproject.openapi import responses


class PublicView(AsyncAPIView):
    """Asks for no credentials, and heeds none: a stale token must not keep anybody from signing in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    compresses = False  # most of them answer with tokens


class RegisterView(PublicView):
    @extend_schema(
        operation_id="register",
        tags=["Accounts"],
        request=RegisterSerializer,
        responses=responses({201: SignedInSerializer}, refusals.RegistrationClosed, Throttled, Busy),
    )
    def post(self, request: Request) -> Continuation:
        """Create an account and sign in."""
        if not settings.REGISTRATION_OPEN:
            raise refusals.RegistrationClosed
        limits.count_registration(request)
        serializer = RegisterSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Continuation(self, partial(self._create, serializer))

    async def _create(self, serializer: RegisterSerializer) -> Response:
        user = await with_hashing(serializer.save)
        return Response(signed_in(user), status=201)


class LoginView(PublicView):
    @extend_schema(
        operation_id="login",
        tags=["Accounts"],
        request=LoginSerializer,
        responses=responses({200: SignedInSerializer}, refusals.InvalidLogin, Throttled, Busy),
    )
    def post(self, request: Request) -> Continuation:
        """Sign in with username and password."""
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        limits.count_sign_in(request, serializer.validated_data["username"])
        return Continuation(self, partial(self._check, request, serializer.validated_data))

    async def _check(self, request: Request, given: dict[str, Any]) -> Response:
        # Takes as long for somebody unknown or deactivated as for a wrong password.
        user = await with_hashing(authenticate, request._request, **given)
        if not isinstance(user, User):
            raise refusals.InvalidLogin
        await in_db(User.objects.filter(pk=user.pk).update, last_login=timezone.now())
        return Response(signed_in(user))


class RefreshView(PublicView):
    @extend_schema(
        operation_id="refreshTokens",
        tags=["Accounts"],
        request=RefreshSerializer,
        responses=responses({200: TokenPairSerializer}, refusals.InvalidToken),
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair.

        The same token gives the same pair for 30 seconds. After that it is refused, and with it every
        token that followed from the same sign-in.
        """
        try:
            return Response(rotation.rotated(_refresh_token(request)))
        except tokens.TokenError as exc:
            raise refusals.InvalidToken from exc


class LogoutView(PublicView):
    @extend_schema(
        operation_id="logout",
        tags=["Accounts"],
        request=RefreshSerializer,
        responses=responses({204: OpenApiResponse(description="It is ended.")}, refusals.InvalidToken),
    )
    def post(self, request: Request) -> Response:
        """Sign out: end a refresh token and all that followed from the same sign-in. Twice is no error."""
        try:
            rotation.end(_refresh_token(request))
        except tokens.TokenError as exc:
            raise refusals.InvalidToken from exc
        return Response(status=204)


class MeView(AsyncAPIView):
    @extend_schema(operation_id="getMe", tags=["Accounts"], responses=UserSerializer)
    def get(self, request: Request) -> Response:
        """Tell who is signed in."""
        return Response(UserSerializer(_user(request)).data)

    @extend_schema(
        operation_id="updateMe", tags=["Accounts"], request=UserSerializer, responses=UserSerializer
    )
    def patch(self, request: Request) -> Response:
        """Change the email address or the language of the pages."""
        serializer = UserSerializer(_user(request), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data)


class PasswordView(AsyncAPIView):
    compresses = False  # it answers with tokens

    @extend_schema(
        operation_id="changePassword",
        tags=["Accounts"],
        request=PasswordSerializer,
        responses=responses({200: TokenPairSerializer}, Throttled, Busy),
    )
    def post(self, request: Request) -> Continuation:
        """Change the password. Everything signed in before is signed out; go on with the new tokens."""
        limits.count_password_try(request)
        serializer = PasswordSerializer(_user(request), data=request.data)
        serializer.is_valid(raise_exception=True)
        return Continuation(self, partial(self._change, serializer, request.auth))

    async def _change(self, serializer: PasswordSerializer, auth: object) -> Response:
        user = await with_hashing(partial(serializer.save, sign_in=sign_ins.id_of(auth)))
        if isinstance(auth, SessionBase):
            await in_db(_keep, auth, user)
        same = str(auth.get(tokens.SIGN_IN_CLAIM) or "") if isinstance(auth, tokens.AccessToken) else ""
        return Response(tokens.pair(user, same))


def _keep(session: SessionBase, user: User) -> None:
    """Leave the session signed in that changed the password; all others end."""
    sign_ins.remember(session, sign_ins.id_of(session))
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()


def signed_in(user: User) -> dict[str, Any]:
    return {"user": UserSerializer(user).data, **tokens.pair(user)}


def _user(request: Request) -> User:
    return cast(User, request.user)  # the permission class has made sure of it


def _refresh_token(request: Request) -> str:
    serializer = RefreshSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    return str(serializer.validated_data["refresh"])
