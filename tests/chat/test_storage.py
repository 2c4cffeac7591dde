"""How much text one person may store: counted as it is written, and given back by deleting."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from chat import admission, deletions, endings, leases, refusals, services, storage
from chat.answers import Outcome
from chat.models import ChatSession, Message, Mode
from tests.chat.conftest import quick
from tests.server import Server, User
from tests.upstream import Reasoning, Upstream

MakeServer = Callable[..., Server]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def small_server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    """Somewhere a person may store a thousand characters."""
    environ = {"CHAT_MAX_STORED_CHARS": "1000"}
    if request.param == "postgres":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    return make_server(**environ)


def refused(user: User, upstream: Upstream, **body: str) -> tuple[int, str]:
    asked = {"message": "Hi", "provider": "custom", "model": upstream.script("ok")} | body
    with user.client() as client, client.stream("POST", "/api/chat/stream", json=asked) as response:
        if response.status_code == 200:
            return 200, ""
        response.read()
        return response.status_code, response.json()["code"]


def test_a_person_who_has_stored_too_much_is_refused_until_they_delete(
    small_server: Server, upstream: Upstream
) -> None:
    user = quick(small_server.user(), upstream)
    model = upstream.script(Reasoning("想" * 300), "🌍" * 400)
    first = user.stream("问" * 250, "custom", model).session["sessionId"]
    second = user.stream("x" * 49, "custom", upstream.script("y")).session["sessionId"]

    assert refused(user, upstream) == (403, "storage_quota_exceeded")
    assert refused(user, upstream, sessionId=second) == (403, "storage_quota_exceeded")
    assert refused(quick(small_server.user(), upstream), upstream) == (200, "")

    assert user.delete(f"/api/chat/sessions/{second}").status_code == 200
    assert refused(user, upstream) == (200, "")

    answer = user.messages(first)[1]
    assert (len(answer["reasoning"]), len(answer["content"])) == (300, 400)
    user.stream("x", "custom", upstream.script("y" * 60), sessionId=first)
    assert refused(user, upstream)[0] == 403
    assert user.delete(f"/api/chat/messages/{answer['id']}").status_code == 200
    assert refused(user, upstream) == (200, "")


# --- in this process ------------------------------------------------------------------------------


@pytest.fixture
def ada(db: None) -> Any:
    Mode.objects.get_or_create(pk="normal", defaults={"name": "normal"})
    leases.renew()
    return get_user_model().objects.create_user("ada", password="a-long-password")


def ask(user: Any, message: str, session: Any = None) -> services.Turn:
    turn = services.open_turn(
        admission.Asked(user, lambda: None),
        message=message,
        provider="demo",
        model="demo",
        mode="normal",
        session_id=session,
    )
    assert isinstance(turn, services.Turn)
    return turn


def end(
    turn: services.Turn, content: str, *, new: int, reasoning: str = "", status: str = "complete"
) -> None:
    ended = endings.Ended(
        message_id=turn.opening.message_id,
        session_id=turn.opening.session_id,
        new_chars=new,
        reasoning=reasoning,
        content=content,
        outcome=Outcome(status),
        usage=None,
        response_time=None,
        first_token_time=None,
        reasoning_time=None,
    )
    # The first time, the answer of the database may have been lost.
    assert endings.close_turn(ended)
    assert endings.close_turn(ended)


def counted(turn: services.Turn) -> int:
    return ChatSession.objects.get(pk=turn.opening.session_id).stored_chars


def test_an_answer_is_counted_once_although_it_is_stored_twice(ada: Any) -> None:
    turn = ask(ada, "问题")
    assert counted(turn) == 2

    end(turn, "🌍" * 10, new=15, reasoning="想" * 5)

    assert counted(turn) == storage.of_person(ada.pk) == 17


def test_of_a_continued_answer_only_what_is_new_is_counted(ada: Any) -> None:
    first = ask(ada, "a")
    end(first, "b" * 10, new=10, status="stopped")

    again = services.open_continuation(
        admission.Asked(ada, lambda: None), message_id=first.opening.message_id
    )
    assert isinstance(again, services.Turn)
    end(again, "b" * 10 + "c" * 4, new=4)

    assert counted(first) == 15


def test_what_a_crash_has_left_out_is_counted_at_the_next_deletion(ada: Any) -> None:
    turn = ask(ada, "abc")
    Message.objects.filter(pk=turn.opening.message_id).update(status="interrupted", content="x" * 50)
    later = ask(ada, "later", turn.opening.session_id)
    end(later, "y" * 7, new=7)

    deletions.delete_message(Message.objects.get(pk=later.opening.message_id))

    assert counted(turn) == 3 + 50 + 5


def test_the_limit_counts_all_conversations_of_a_person_and_nobody_elses(ada: Any, settings: Any) -> None:
    settings.CHAT_MAX_STORED_CHARS = 10
    bob = get_user_model().objects.create_user("bob", password="a-long-password")
    end(ask(ada, "a"), "b" * 4, new=4)
    end(ask(ada, "a"), "b" * 4, new=4)

    with pytest.raises(refusals.StorageQuotaExceeded):
        ask(ada, "a")
    ask(bob, "a")
    settings.CHAT_MAX_STORED_CHARS = 0
    ask(ada, "a" * 100)
