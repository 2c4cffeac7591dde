"""What the chat API refuses, with its stable codes."""

from django.utils.translation import gettext_lazy as _

from chatproject.errors import ApiError


class SessionNotFound(ApiError):
    status_code = 404
    code = "session_not_found"
    text = _("There is no such conversation.")


class MessageNotFound(ApiError):
    status_code = 404
    code = "message_not_found"
    text = _("There is no such message.")


class SessionChanged(ApiError):
    status_code = 409
    code = "session_changed"
    text = _("This conversation has been used since then, so nothing was deleted.")


class ModeUnknown(ApiError):
    status_code = 400
    code = "mode_unknown"
    text = _("There is no such mode.")


class AnswerInProgress(ApiError):
    status_code = 409
    code = "answer_in_progress"
    text = _("This conversation is still being answered. Wait for the end, or stop it.")


class IdempotencyConflict(ApiError):
    status_code = 409
    code = "idempotency_conflict"
    text = _("This Idempotency-Key was used for another request.")


class IdempotencyKeyInvalid(ApiError):
    status_code = 400
    code = "idempotency_key_invalid"
    text = _("An Idempotency-Key has 1 to 128 of the characters A-Z a-z 0-9 : _ -")


class TooManyRunning(ApiError):
    status_code = 429
    code = "too_many_running"
    text = _("Too many answers are being written for you. Wait until one ends, or stop one.")

    def __init__(self) -> None:
        super().__init__(retry_after=5)


class StorageQuotaExceeded(ApiError):
    # Not a status that libraries try again by themselves.
    status_code = 403
    code = "storage_quota_exceeded"
    text = _("Your conversations take up all the room you have here. Delete some of them, then ask again.")


class NotAUserMessage(ApiError):
    status_code = 409
    code = "not_a_user_message"
    text = _("Only messages of your own can be edited.")


class NotContinuable(ApiError):
    status_code = 409
    code = "not_continuable"
    text = _("Only a cut answer at the end of its branch can be continued.")


class ShuttingDown(ApiError):
    status_code = 503
    code = "shutting_down"
    text = _("The server is restarting. Try again in a moment.")

    def __init__(self) -> None:
        super().__init__(retry_after=3)
