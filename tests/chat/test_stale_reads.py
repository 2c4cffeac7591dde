"""What was read before its session was locked may be gone by then."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from chat import answers, refusals, services
from chat.ids import uuid7
from chat.models import ChatSession, Message

pytestmark = pytest.mark.django_db


@pytest.fixture
def session() -> ChatSession:
    user = get_user_model().objects.create_user("ada", password="a-long-password")
    return ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")


def said(session: ChatSession, count: int) -> list[Message]:
    messages: list[Message] = []
    for number in range(count):
        role = Message.Role.ASSISTANT if number % 2 else Message.Role.USER
        parent = messages[-1] if messages else None
        messages.append(
            Message.objects.create(
                id=uuid7(), session=session, parent=parent, role=role, content=f"message {number}"
            )
        )
    return messages


def test_deleting_what_somebody_else_has_deleted_changes_nothing(session: ChatSession) -> None:
    messages = said(session, 6)
    services.delete_message(messages[3])

    assert services.delete_message(messages[4]) is None

    left = session.messages.chosen().values_list("pk", flat=True)
    assert list(left) == [message.pk for message in messages[:3]]


def test_a_deleted_message_cannot_be_edited_or_continued(session: ChatSession) -> None:
    messages = said(session, 4)
    services.delete_message(messages[2])
    asked = services.Asked(session.user, lambda: None)

    with pytest.raises(refusals.MessageNotFound):
        services.open_edit(asked, message_id=messages[2].pk, message="again")
    with pytest.raises(refusals.MessageNotFound):
        services.open_continuation(asked, message_id=messages[3].pk)


def test_an_answer_that_was_wrongly_taken_for_abandoned_is_not_continued_while_it_goes_on(
    session: ChatSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, answer = said(session, 2)
    Message.objects.filter(pk=answer.pk).update(status="interrupted", provider="demo", model="demo")
    asked = services.Asked(session.user, lambda: None)
    running: Any = answers.running
    monkeypatch.setitem(running, answer.pk, None)

    with pytest.raises(refusals.AnswerInProgress):
        services.open_continuation(asked, message_id=answer.pk)

    monkeypatch.delitem(running, answer.pk)
    assert isinstance(services.open_continuation(asked, message_id=answer.pk), services.Turn)
