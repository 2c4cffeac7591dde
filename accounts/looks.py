"""How pages look to a person: the theme they chose, known before the first byte of a page is sent.

The account holds the choice. A cookie repeats it, for the pages on which
nobody is signed in.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

THEMES = ("light", "dark")
COOKIE = "theme"
COOKIE_SECONDS = 365 * 24 * 3600


def theme(request: HttpRequest) -> dict[str, str]:
    """Return `theme` for templates: "light", "dark", or "" for what the device is set to."""
    # Not `request.user`, which would ask the database: a page that says it is away must not.
    user = getattr(request, "_cached_user", None)
    chosen = user.theme if user is not None and user.is_authenticated else request.COOKIES.get(COOKIE, "")
    return {"theme": chosen if chosen in THEMES else ""}


def remember(response: HttpResponseBase, chosen: str) -> None:
    """Let this browser keep the theme also while nobody is signed in."""
    if chosen in THEMES:
        response.set_cookie(
            COOKIE,
            chosen,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    else:
        response.delete_cookie(COOKIE, samesite="Lax")
