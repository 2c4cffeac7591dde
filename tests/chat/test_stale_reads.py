"""What was read before its session was locked may be gone by then."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model

from chat import admission, answers, deletions, refusals, services
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
    deletions.delete_message(messages[3])

    assert deletions.delete_message(messages[4]) is None

    left = session.messages.chosen().values_list("pk", flat=True)
    assert list(left) == [message.pk for message in messages[:3]]


def test_a_deleted_message_cannot_be_edited_or_continued(session: ChatSession) -> None:
    messages = said(session, 4)
    deletions.delete_message(messages[2])
    asked = admission.Asked(session.user, lambda: None)

    with pytest.raises(refusals.MessageNotFound):
        services.open_edit(asked, message_id=messages[2].pk, message="again")
    with pytest.raises(refusals.MessageNotFound):
        services.open_continuation(asked, message_id=messages[3].pk)


def test_an_answer_that_was_wrongly_taken_for_abandoned_is_not_continued_while_it_goes_on(
    session: ChatSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, answer = said(session, 2)
    Message.objects.filter(pk=answer.pk).update(status="interrupted", provider="demo", model="demo")
    asked = admission.Asked(session.user, lambda: None)
    running: Any = answers.running
    monkeypatch.setitem(running, answer.pk, None)

    with pytest.raises(refusals.AnswerInProgress):
        services.open_continuation(asked, message_id=answer.pk)

    monkeypatch.delitem(running, answer.pk)
    assert isinstance(services.open_continuation(asked, message_id=answer.pk), services.Turn)


def test_a_repeat_gets_its_answer_though_the_provider_is_gone_by_now(session: ChatSession) -> None:
    asked = admission.Asked(session.user, lambda: None, key="k", fingerprint="f")
    turn = services.open_turn(
        asked, message="Hi", provider="demo", model="demo", mode="normal", session_id=session.pk
    )
    assert isinstance(turn, services.Turn)

    again = services.open_turn(
        asked, message="Hi", provider="openai", model="demo", mode="gone", session_id=session.pk
    )

    assert isinstance(again, admission.Replay)
    assert again.message_id == turn.opening.message_id


def test_a_continuation_sends_no_more_of_the_history_than_any_other_request(
    session: ChatSession, settings: Any
) -> None:
    settings.CHAT_HISTORY_LIMIT = 4
    messages = said(session, 8)
    Message.objects.filter(pk=messages[-1].pk).update(status="interrupted", provider="demo", model="demo")
    turn = services.open_continuation(admission.Asked(session.user, lambda: None), message_id=messages[-1].pk)

    assert isinstance(turn, services.Turn)
    sent = [message.content for message in turn.request.messages if message.role != "system"]
    assert sent == ["message 6", "message 7", services.CONTINUE_PROMPT]
