"""What every description of an API operation is made of: its refusals, in the one error shape."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from chatproject.errors import PLAIN, ApiError, Text

DESCRIPTIONS = {
    400: "The request is not acceptable; `fields` says where, as far as it is about fields.",
    401: "No credentials, or none that are valid (any more).",
    403: "Not allowed.",
    404: "It does not exist, or it is somebody else's: the two cannot be told apart.",
    406: "`Accept` allows nothing that can be given.",
    408: "The body took too long to arrive.",
    409: "It does not fit what is going on.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "Too many at once or in too short a time; `Retry-After` says when to try again.",
    500: "A fault of the server.",
    502: "The provider refused, or answered with something that cannot be used.",
    503: "Not now; `Retry-After`, where it is given, says when to try again.",
    504: "The provider did not answer in time.",
}


class ErrorResponseSerializer(serializers.Serializer[Any]):
    """The one shape of every error."""

    error = serializers.CharField(help_text="For a person, in the language of `Accept-Language`.")
    code = serializers.CharField(help_text="For a program: stable, in snake_case.")
    fields = serializers.DictField(  # type: ignore[assignment]  # the name on the wire
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong with which field; only for code `invalid`.",
    )
    detail = serializers.CharField(
        required=False, help_text="The provider's own words: plain text, redacted, at most 300 characters."
    )
    messageId = serializers.UUIDField(
        required=False, help_text="The answer that failed, where it was not streamed."
    )
    sessionId = serializers.UUIDField(required=False, help_text="The conversation of that answer.")
    retryable = serializers.BooleanField(
        required=False, help_text="Whether trying again is of use, where an answer failed."
    )
    requestId = serializers.CharField(
        required=False,
        help_text="The id of the request, also in the header `X-Request-Id` and in the server's log.",
    )


class SuccessSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class InvalidInput(ApiError):
    """Stands for DRF's validation errors, which become this shape."""

    code = "invalid"
    text: Text = _("Check what you entered.")


class NotAllowed(ApiError):
    """Stands for DRF's refusals of what somebody may not do."""

    status_code = 403
    code, text = PLAIN[403]


def example_name(code: str) -> str:
    """Return the name that drf-spectacular gives to an example of this code."""
    return "".join(word.capitalize() for word in code.split("_"))


def status_of(refused: Any) -> int:
    return int(getattr(refused, "http_status", 0) or refused.status_code)


def responses(answers: Mapping[Any, Any], *refused: Any) -> dict[Any, Any]:
    """Return an operation's answers together with its own refusals, told by their classes.

    What all operations may refuse, such as a missing sign-in, is added for all of them
    by `chatproject.schema`.
    """
    by_status: dict[int, list[Any]] = {}
    for error in refused:
        by_status.setdefault(status_of(error), []).append(error)
    errors = {
        status: OpenApiResponse(
            ErrorResponseSerializer,
            description=DESCRIPTIONS[status],
            examples=[
                OpenApiExample(error.code, value={"error": error.text, "code": error.code})
                for error in of_status
            ],
        )
        for status, of_status in by_status.items()
    }
    return {**answers, **errors}
