"""A finished answer as one JSON object, for clients that do not read a stream."""

import asyncio
from uuid import UUID

from rest_framework.response import Response

from chat import answers, faults, refusals, streams
from chat.models import Message
from chat.serializers import WholeAnswerSerializer
from chat.siblings import siblings_of
from chatproject.db import in_db
from providers.errors import ProviderError

# How often the database is asked for the end of an answer that another process writes.
POLL_SECONDS = 0.3
STATUSES = {
    faults.INTERRUPTED: 503,
    faults.SHUTTING_DOWN: 503,
    faults.DELETED: 404,
    faults.SERVER_ERROR: 500,
}
RETRY_SECONDS = 3


async def whole(message_id: UUID) -> Response:
    """Return an answer once it has ended, wherever it is written."""
    while True:
        if (answer := answers.running.get(message_id)) is not None:
            await answer.ended.wait()
        elif not await in_db(Message.objects.running().filter(pk=message_id).exists):
            return await in_db(finished, message_id)
        elif streams.leaving:
            raise refusals.ShuttingDown
        else:
            await asyncio.sleep(POLL_SECONDS)


def finished(message_id: UUID) -> Response:
    """Return an ended answer as it is stored; one that broke off is an error that names it."""
    message = Message.objects.select_related("session").filter(pk=message_id).first()
    if message is None:
        raise refusals.MessageNotFound
    if message.status not in (Message.Status.COMPLETE, Message.Status.STOPPED):
        return _failed(message)
    return Response(WholeAnswerSerializer(message, context={"siblings": siblings_of([message])}).data)


def _failed(message: Message) -> Response:
    code = message.error_code or faults.SERVER_ERROR
    data = faults.error_data(code, message.retry_after, message.retryable, message.error_detail)
    ids = {"messageId": str(message.id), "sessionId": str(message.session_id)}
    response = Response({**data, **ids}, status=status_of(code))
    if response.status_code == 503 or message.retry_after is not None:
        response["Retry-After"] = str(max(1, round(message.retry_after or RETRY_SECONDS)))
    # Said on purpose: Django would log every one of them as an error of this server.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def status_of(code: str) -> int:
    """Return the HTTP status of an answer's failure."""
    if code in STATUSES:
        return STATUSES[code]
    kinds = faults.provider_errors(ProviderError)
    return next((kind.http_status for kind in kinds if kind.code == code), ProviderError.http_status)
