"""What the writer stores of an answer while others change it."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from chat import answers, checkpoints, leases
from chat.checkpoints import Snapshot
from chat.ids import uuid7
from chat.models import ChatSession, Message

pytestmark = pytest.mark.django_db
Status = Message.Status


def answer(status: str, content: str) -> Message:
    user = get_user_model().objects.create_user(f"u{uuid4().hex}", password="a-long-password")
    session = ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")
    return Message.objects.create(
        id=uuid7(),
        session=session,
        role=Message.Role.ASSISTANT,
        status=status,
        content=content,
        worker_id=leases.worker_id,
    )


def test_what_has_grown_is_stored() -> None:
    message = answer(Status.STREAMING, "one")

    checkpoints._store([Snapshot(message.id, "hm", "one two")])

    message.refresh_from_db()
    assert (message.reasoning, message.content) == ("hm", "one two")


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.STOPPED, Status.FAILED, Status.INTERRUPTED])
def test_an_answer_that_has_ended_since_it_was_looked_at_stays_whole(status: str) -> None:
    message = answer(status, "one two three")

    checkpoints._store([Snapshot(message.id, "", "one two")])

    message.refresh_from_db()
    assert message.content == "one two three"


def test_an_answer_that_another_process_has_given_up_is_let_go_as_such() -> None:
    own, given_up = answer(Status.STREAMING, "one"), answer(Status.INTERRUPTED, "one")

    assert checkpoints._renew([own.id, given_up.id]) == {given_up.id: answers.INTERRUPTED}
