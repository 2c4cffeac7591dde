"""What the accounts API refuses, with its stable codes."""

from django.utils.translation import gettext_lazy as _

from chatproject.errors import ApiError


class InvalidLogin(ApiError):
    status_code = 401
    code = "invalid_login"
    text = _("The username or the password is wrong.")


class InvalidToken(ApiError):
    status_code = 401
    code = "invalid_token"
    text = _("The sign-in is no longer valid. Sign in again.")


class RegistrationClosed(ApiError):
    status_code = 403
    code = "registration_closed"
    text = _("Registration is closed on this server.")


class OtherUser(ApiError):
    status_code = 409
    code = "other_user"
    text = _("Somebody else has signed in in this browser. Reload the page.")


class CsrfFailed(ApiError):
    status_code = 403
    code = "csrf_failed"
    text = _("The request did not come from this site's own page. Reload the page, then try again.")
