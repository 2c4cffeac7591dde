"""The forms of the sign-in pages. They count their tries like the API does."""

from typing import Any, cast

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import limits
from accounts.models import NAME_TAKEN, User
from accounts.refusals import InvalidLogin
from accounts.serializers import MAX_PASSWORD_CHARS
from chatproject.errors import Throttled

RATE_LIMITED = "rate_limited"


def _limited(exc: Throttled) -> ValidationError:
    return ValidationError(exc.text, code=RATE_LIMITED, params={"wait": exc.wait})


class LoginForm(AuthenticationForm):
    error_messages = {**AuthenticationForm.error_messages, "invalid_login": InvalidLogin.text}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].max_length = MAX_PASSWORD_CHARS  # type: ignore[attr-defined]  # a CharField

    def clean(self) -> dict[str, Any]:
        request = cast(HttpRequest, self.request)  # the page gives it
        try:
            limits.count_sign_in(request, self.cleaned_data.get("username") or "")
        except Throttled as exc:
            raise _limited(exc) from exc
        return super().clean()


class AdminLoginForm(LoginForm, AdminAuthenticationForm):
    """The admin's own sign-in, which only lets staff in, and counts its tries too."""


class RegisterForm(BaseUserCreationForm):
    class Meta(BaseUserCreationForm.Meta):
        model = User
        fields = ("username", "email")
        help_texts = {"username": _("Letters, digits and @ . + - _, at most 150 of them.")}

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def validate_password_for_user(self, user: User, password_field_name: str = "") -> None:
        """Say what is wrong with a password at the password, not at its repetition as Django does."""
        super().validate_password_for_user(user, "password1")  # type: ignore[misc]  # the stubs lack it

    def clean(self) -> dict[str, Any] | None:
        try:
            limits.count_registration(self.request)
        except Throttled as exc:
            raise _limited(exc) from exc
        return super().clean()

    def save(self, commit: bool = True) -> User:
        """Create the account; raises `ValidationError` where somebody was faster with the name."""
        user = super().save(commit=False)
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as exc:
            raise ValidationError({"username": [NAME_TAKEN]}) from exc
        return user


class PasswordForm(PasswordChangeForm):
    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def validate_password_for_user(self, user: User, password_field_name: str = "") -> None:
        """Say what is wrong with a password at the password, not at its repetition as Django does."""
        super().validate_password_for_user(user, "new_password1")

    def clean_old_password(self) -> str:
        try:
            limits.count_password_try(self.request)
        except Throttled as exc:
            raise _limited(exc) from exc
        return super().clean_old_password()


def wait_of(form: forms.BaseForm) -> float | None:
    """Return how long a form asks to wait, or None where it was not refused for its rate."""
    for errors in form.errors.as_data().values():
        for error in errors:
            if error.code == RATE_LIMITED:
                return float((error.params or {}).get("wait") or 1)
    return None
