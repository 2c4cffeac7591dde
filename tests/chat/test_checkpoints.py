"""What the writer stores of an answer while others change it."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model

from chat import answers, checkpoints, leases
from chat.answers import Opening, RunningAnswer
from chat.checkpoints import Growth
from chat.events import START, Position
from chat.ids import uuid7
from chat.models import ChatSession, Message
from providers.base import ReasoningEnd, TextDelta

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


def test_what_has_grown_is_appended() -> None:
    message, other = answer(Status.STREAMING, "流式🙂"), answer(Status.STREAMING, "")

    checkpoints._store(
        [
            Growth(message.id, "hm", '流式🙂 a "quoted" \\ 100 %s\n回答', kept=Position(0, 3)),
            Growth(other.id, "", "two", kept=START),
        ]
    )

    message.refresh_from_db()
    other.refresh_from_db()
    assert (message.reasoning, message.content) == ("hm", '流式🙂 a "quoted" \\ 100 %s\n回答')
    assert (other.reasoning, other.content) == ("", "two")


def test_what_was_stored_without_our_knowing_is_not_stored_twice() -> None:
    """The connection was lost after the commit, before we heard of it."""
    message = answer(Status.STREAMING, "one two")

    checkpoints._store([Growth(message.id, "", "one two three", kept=Position(0, 3))])

    message.refresh_from_db()
    assert message.content == "one two three"


def test_after_a_reset_the_text_is_stored_whole() -> None:
    message = answer(Status.STREAMING, "Two and two.\n")
    growth = Growth(message.id, "Two and two.", "4", kept=Position(0, 13), resets=1)

    checkpoints._store([growth])

    message.refresh_from_db()
    assert (message.reasoning, message.content, message.resets) == ("Two and two.", "4", 1)
    assert growth.end == Position(12, 1, 1)


async def test_a_reset_is_stored_at_once_although_the_text_got_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored: list[Growth] = []
    monkeypatch.setattr(checkpoints, "_store", stored.extend)
    running = RunningAnswer(Opening(uuid7(), uuid7(), None, "t"))
    monkeypatch.setattr(checkpoints, "running", {running.id: running})
    running.grow(TextDelta("Two and two. \n\n"))
    await checkpoints.keep_texts(0)
    running.grow(ReasoningEnd())

    await checkpoints.keep_texts(60)
    await checkpoints.keep_texts(0)

    assert [(each.reasoning, each.content, each.resets) for each in stored] == [
        ("", "Two and two. \n\n", 0),
        ("Two and two.", "", 1),
    ]


async def test_each_text_is_kept_at_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[list[UUID]] = []
    monkeypatch.setattr(
        checkpoints, "_store", lambda growths: stored.append([growth.message_id for growth in growths])
    )
    early, late = (RunningAnswer(Opening(uuid7(), uuid7(), None, "t")) for _ in range(2))
    monkeypatch.setattr(checkpoints, "running", {answer.id: answer for answer in (early, late)})
    for one in (early, late):
        one.grow(TextDelta("one"))
    early.kept_at -= 1

    await checkpoints.keep_texts(0.9)
    assert stored == [[early.id]]
    await checkpoints.keep_texts(0)
    assert stored[1:] == [[late.id]]  # nothing of the other is new
    early.grow(TextDelta(" two"))
    await checkpoints.keep_texts(0)
    assert stored[2:] == [[early.id]]


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.STOPPED, Status.FAILED, Status.INTERRUPTED])
def test_an_answer_that_has_ended_since_it_was_looked_at_stays_whole(status: str) -> None:
    message = answer(status, "one two three")

    checkpoints._store([Growth(message.id, "", "one two", kept=Position(0, 3))])

    message.refresh_from_db()
    assert message.content == "one two three"


def test_an_answer_that_another_process_has_given_up_is_let_go_as_such() -> None:
    own, given_up = answer(Status.STREAMING, "one"), answer(Status.INTERRUPTED, "one")

    assert checkpoints._heard([own.id, given_up.id]) == {given_up.id: answers.INTERRUPTED}
