"""Why an answer did not become whole: by code, with the text for the person and whether to try again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from providers.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Fault:
    text: str | Promise
    retryable: bool


INTERRUPTED = "interrupted"
DELETED = "message_deleted"
SHUTTING_DOWN = "shutting_down"
SERVER_ERROR = "server_error"
SIGNED_OUT = "signed_out"


def provider_errors(root: type[ProviderError]) -> Iterator[type[ProviderError]]:
    yield root
    for child in root.__subclasses__():
        yield from provider_errors(child)


FAULTS: dict[str, Fault] = {
    error.code: Fault(error.text, error.retryable) for error in provider_errors(ProviderError)
} | {
    INTERRUPTED: Fault(
        _("The server was restarted while it answered. What had arrived is kept; you can continue it."), True
    ),
    DELETED: Fault(_("This message was deleted."), False),
    # Of this reader only: the answer itself goes on in another process.
    SHUTTING_DOWN: Fault(_("The server is restarting. Try again in a moment."), True),
    # Of this reader only, too.
    SIGNED_OUT: Fault(_("You were signed out. Sign in again to read on."), False),
    SERVER_ERROR: Fault(_("Something went wrong on the server. Try again."), True),
    "provider_not_configured": Fault(_("This provider is not configured."), False),
}


def fault(code: str, retryable: bool | None = None) -> Fault:
    """Return what a code means; the provider may have said of this one whether trying again is of use."""
    found = FAULTS.get(code, FAULTS[SERVER_ERROR])
    return found if retryable is None else replace(found, retryable=retryable)


def error_data(
    code: str, retry_after: float | None = None, retryable: bool | None = None, detail: str = ""
) -> dict[str, Any]:
    """Return a failure as the API tells it; `detail` is the provider's own words."""
    found = fault(code, retryable)
    data: dict[str, Any] = {"error": str(found.text), "code": code, "retryable": found.retryable}
    if retry_after is not None:
        data["retryAfter"] = retry_after
    if detail:
        data["detail"] = detail
    return data
