"""Who may start an answer, where many ask at once; and how much is asked of the database for it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import RequestFactory
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import RateCounter
from accounts.tokens import access_token, pair
from chat import admission, leases, refusals, services
from chat.events import START
from chat.models import ChatSession, Message, Mode
from chatproject import limits
from chatproject.errors import Throttled

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
    turn = ask(admission.Asked(session.user, lambda: time.sleep(0.02)), session_id)
    assert isinstance(turn, services.Turn)
    return turn


def ask(asked: admission.Asked, session_id: UUID | None = None) -> services.Turn | admission.Replay:
    return services.open_turn(
        asked, message="Hi", provider="demo", model="demo", mode="normal", session_id=session_id
    )


def asked_by_program(session: ChatSession, **more: Any) -> admission.Asked:
    """Return who asks with a bearer token, and is counted along with what is read."""
    token = access_token(pair(session.user)["access"])
    request = RequestFactory().post("/api/chat/stream")
    counting = limits.counting(request, group="answers", key=str(session.user.pk), rate="2/h")
    return admission.Asked(token.named, pytest.fail, counting=counting, admits=token.admits, **more)


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
    assert [message.content for message in turn.request.messages] == ["said meanwhile\n\nHi"]
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
    ask(asked_by_program(session))  # what is prepared once

    # All that is read and counted, and then all that is written: with the first the transaction begins, and
    # with the last it ends. Both are logged as questions of their own.
    with django_assert_num_queries(3):
        ask(asked_by_program(session), None if new else session.pk)


def test_what_is_counted_along_is_limited_as_ever(session: ChatSession) -> None:
    for _ in range(2):
        ask(asked_by_program(session))

    with pytest.raises(Throttled) as refused:
        ask(asked_by_program(session))
    assert 0 < (refused.value.wait or 0) <= 3600
    assert ChatSession.objects.count() == 1 + 2
    assert RateCounter.objects.get().count == 2


def test_a_repeated_request_is_not_counted(session: ChatSession) -> None:
    key = {"key": "k", "fingerprint": "f"}
    begun = ask(asked_by_program(session, **key))
    assert isinstance(begun, services.Turn)

    again = [ask(asked_by_program(session, **key)) for _ in range(5)]

    assert again == [admission.Replay(begun.opening.message_id, START)] * 5
    assert RateCounter.objects.get().count == 1


def test_whoever_may_not_come_in_any_more_leaves_nothing(session: ChatSession) -> None:
    asked = asked_by_program(session)
    session.user.sign_out_everywhere()

    for session_id in (None, session.pk):
        with pytest.raises(AuthenticationFailed):
            ask(asked, session_id)

    assert not Message.objects.exists()
    assert not RateCounter.objects.exists()
    assert ChatSession.objects.get() == session


def test_nobody_counts_before_the_user_is_locked(session: ChatSession) -> None:
    # Others lock the user first as well, and count then: the other way round each would wait for the other.
    counting = asked_by_program(session).counting
    assert counting is not None

    def look_elsewhere() -> None:
        try:
            ask(asked_by_program(session), uuid4())
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            list(get_user_model().objects.select_for_update(no_key=True).filter(pk=session.user_id))
            future = pool.submit(look_elsewhere)
            with pytest.raises(TimeoutError):
                future.result(timeout=0.5)
            counted = counting.statement.rows(*counting.values)
        with pytest.raises(refusals.SessionNotFound):
            future.result()

    assert counted == [(1,)]
