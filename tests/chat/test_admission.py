"""Who may start an answer, where many ask at once; and how much is asked of the database for it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from chat import leases, refusals, services
from chat.models import ChatSession, Message, Mode

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # One in memory cannot be waited for. What comes of it on a file, other tests ask of servers.
    pytest.mark.skipif(connection.vendor == "sqlite", reason="the tests' own database is one in memory"),
]


@pytest.fixture
def session() -> ChatSession:
    user = get_user_model().objects.create_user("ada", password="a-long-password")
    Mode.objects.get_or_create(pk="normal", defaults={"name": "normal"})
    leases.renew()
    return ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")


def opened(session: ChatSession, session_id: UUID | None) -> services.Turn:
    # To count takes a moment, in which others come.
    asked = services.Asked(session.user, lambda: time.sleep(0.02))
    turn = services.open_turn(
        asked, message="Hi", provider="demo", model="demo", mode="normal", session_id=session_id
    )
    assert isinstance(turn, services.Turn)
    return turn


def outcomes(session: ChatSession, session_id: UUID | None, count: int) -> Counter[str]:
    def outcome(_: int) -> str:
        try:
            opened(session, session_id)
        except Exception as exc:
            return type(exc).__name__
        else:
            return "opened"
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(outcome, range(count)))


def test_no_more_are_answered_at_once_than_may_be(session: ChatSession, settings: Any) -> None:
    settings.CHAT_MAX_RUNNING = 3

    assert outcomes(session, None, 12) == {"opened": 3, "TooManyRunning": 9}

    assert Message.objects.running().count() == 3
    assert ChatSession.objects.count() == 4


def test_a_conversation_is_answered_once_at_a_time(session: ChatSession) -> None:
    assert outcomes(session, session.pk, 8) == {"opened": 1, "AnswerInProgress": 7}

    assert session.messages.count() == 2


def test_what_was_changed_while_the_lock_was_waited_for_is_seen(session: ChatSession) -> None:
    locked = threading.Event()

    def open_later() -> services.Turn:
        locked.wait()
        try:
            return opened(session, session.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            ChatSession.objects.filter(pk=session.pk).update(title="another title")
            said = Message.objects.create(session=session, role="user", content="said meanwhile")
            future = pool.submit(open_later)
            locked.set()
            with pytest.raises(TimeoutError):
                future.result(timeout=0.5)
        turn = future.result()

    assert turn.opening.title == "another title"
    assert [message.content for message in turn.request.messages] == ["said meanwhile", "Hi"]
    assert list(said.children.values_list("pk", flat=True)) == [turn.opening.user_message_id]


def test_somebody_elses_conversation_is_not_found(session: ChatSession) -> None:
    stranger = get_user_model().objects.create_user("bob", password="a-long-password")
    session.user = stranger

    with pytest.raises(refusals.SessionNotFound):
        opened(session, session.pk)

    assert not Message.objects.exists()


@pytest.mark.parametrize("new", [True, False])
def test_few_messages_go_to_the_database(
    session: ChatSession, new: bool, django_assert_num_queries: Any
) -> None:
    opened(session, None)  # what is prepared once

    with django_assert_num_queries(3):  # with the first the transaction begins, with the last it ends
        opened(session, None if new else session.pk)
