"""The list of a conversation's messages: its order, where it begins and ends, and how much of it is sent."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat import message_pages, siblings, windows
from chat.ids import uuid7
from chat.models import ChatSession, Message
from chat.serializers import MessageSerializer
from chat.windows import Wanted
from tests.server import User
from tests.upstream import Upstream


def page(user: User, session: str, **params: Any) -> dict[str, Any]:
    response = user.get(f"/api/chat/sessions/{session}/messages", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


def pages(user: User, session: str, **params: Any) -> list[list[dict[str, Any]]]:
    """Follow `next` to the end."""
    got = [page(user, session, **params)]
    while got[-1]["next"] is not None:
        got.append(page(user, session, cursor=got[-1]["next"], **params))
    return [one["messages"] for one in got]


# --- order and bounds ----------------------------------------------------------------------------------


def test_the_list_runs_either_way_and_between_two_messages(alice: User) -> None:
    session = alice.stream("one").session["sessionId"]
    for text in ("two", "three"):
        alice.stream(text, sessionId=session)
    whole = [message["id"] for message in alice.messages(session)]

    def ids(**params: Any) -> list[list[str]]:
        return [[message["id"] for message in one] for one in pages(alice, session, **params)]

    assert ids(order="desc", limit=4) == [whole[:1:-1], whole[1::-1]]
    assert ids(order="asc", limit=4) == [whole[:4], whole[4:]]
    assert ids(after=whole[1]) == [whole[2:]]
    assert ids(after=whole[0], before=whole[4], limit=2) == [whole[1:3], whole[3:4]]
    # The messages just before one, as a page needs them that shows what stands above.
    assert ids(before=whole[5], limit=2) == [whole[3:5], whole[1:3], whole[:1]]
    assert ids(before=whole[3], order="desc") == [whole[2::-1]]
    assert ids(before=whole[3], order="asc", limit=2) == [whole[:2], whole[2:3]]
    assert ids(before=whole[0]) == ids(after=whole[-1]) == [[]]
    assert ids(order="", before="", after="") == [whole]


@pytest.mark.parametrize(
    "params", [{"order": "newest"}, {"before": "7"}, {"after": "' OR 1=1"}, {"cursor": "MQ"}], ids=str
)
def test_other_bounds_are_refused_by_name(alice: User, params: dict[str, str]) -> None:
    session = alice.stream("one").session["sessionId"]

    response = alice.get(f"/api/chat/sessions/{session}/messages", params=params)

    assert (response.status_code, list(response.json()["fields"])) == (400, list(params))


# --- how much of it ------------------------------------------------------------------------------------


def test_a_page_ends_at_a_megabyte_of_text(alice: User, upstream: Upstream) -> None:
    texts = ["短" * 150_000, "x" * 400_000, "长" * 500_000, "y" * 700_000]
    session = None
    for text in texts:
        answer = alice.stream("?", "custom", upstream.script(text), sessionId=session)
        session = answer.session["sessionId"]

    got = pages(alice, str(session), limit=1000)

    read = [message["content"] for one in got for message in one]
    assert read == [line for text in texts for line in ("?", text)]
    # The third answer has more than a megabyte: it comes, alone.
    assert [[len(message["content"].encode()) for message in one] for one in got] == [
        [1, 450_000, 1, 400_000, 1],
        [1_500_000],
        [1, 700_000],
    ]
    back = pages(alice, str(session), order="desc", limit=1000)
    assert [message["content"] for one in back for message in one] == read[::-1]


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
def test_sizes_are_asked_for_in_batches_that_miss_no_message(
    conversation: ChatSession, newest_first: bool
) -> None:
    ids = [message.id for message in add(conversation, 300)]
    expected = ids[::-1] if newest_first else ids

    for count in (7, 8, 9, 56, 57, 299, 300, 1000):
        page = message_pages.take(conversation.messages.all(), count, newest_first=newest_first)

        assert [message.id for message in page.messages] == expected[:count]
        assert page.last_of_more == (expected[count - 1] if count < 300 else None)


@pytest.fixture
def conversation(db: None) -> ChatSession:
    user = get_user_model().objects.create_user("ada", password="a-long-password")
    return ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")


def add(session: ChatSession, count: int, *, parent: UUID | None = None, text: str = "") -> list[Message]:
    answers = [
        Message(id=uuid7(), session=session, parent_id=parent, role="assistant", content=text)
        for _ in range(count)
    ]
    return Message.objects.bulk_create(answers)


def test_the_database_sends_no_text_beyond_the_page(conversation: ChatSession) -> None:
    large = add(conversation, 10, text="z" * 300_000)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        taken = message_pages.take(conversation.messages.all(), 1000)

    assert [message.id for message in taken.messages] == [message.id for message in large[:3]]
    assert taken.last_of_more == large[2].id
    with_text = [query["sql"] for query in queries if '"content",' in query["sql"]]
    assert len(with_text) == 1
    assert sum(message.id.hex in with_text[0].replace("-", "") for message in large) == 3


def test_a_list_goes_on_where_a_page_is_deleted_while_it_is_read(
    conversation: ChatSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = add(conversation, 2, text="z" * 600_000)
    read = message_pages._read

    def delete_it(rows: Any, ids: list[UUID], newest_first: bool) -> list[Message]:
        Message.objects.filter(id=first.id).delete()
        return read(rows, ids, newest_first)

    monkeypatch.setattr(message_pages, "_read", delete_it)

    page = message_pages.take(conversation.messages.all(), 1000)

    assert page == message_pages.MessagePage([], first.id)
    assert second.id > first.id


def test_the_chat_page_shows_no_more_than_that_at_once(conversation: ChatSession) -> None:
    ids = [message.id for message in add(conversation, 10, text="z" * 300_000)]

    end = windows.window(conversation, Wanted())
    around = windows.window(conversation, Wanted(at=ids[5]))

    assert ([message.id for message in end.messages], end.earlier) == (ids[-3:], True)
    assert [message.id for message in around.messages] == ids[2:8]
    assert (around.earlier, around.later) == (True, True)


# --- siblings ------------------------------------------------------------------------------------------


def test_a_thousand_siblings_do_not_make_a_million_ids(conversation: ChatSession) -> None:
    (question,) = add(conversation, 1)
    answers = add(conversation, 1000, parent=question.id)

    with CaptureQueriesContext(connection) as queries:
        beside = siblings.siblings_of(answers)
    shown = MessageSerializer(answers, many=True, context={"siblings": beside}).data

    assert len(queries) == 1
    assert sum(len(message["siblings"]) for message in shown) < 60_000
    assert len(json.dumps([message["siblings"] for message in shown])) < 2_500_000
    assert [message["siblingIndex"] for message in shown] == list(range(1000))
    assert {message["siblingCount"] for message in shown} == {1000}
    ids = [str(message.id) for message in answers]
    assert shown[0]["siblings"] == ids[:26]
    assert shown[500]["siblings"] == ids[475:526]
    assert shown[999]["siblings"] == ids[974:]


def test_the_siblings_of_one_message_do_not_mix_with_anothers(conversation: ChatSession) -> None:
    first, second = add(conversation, 2)
    answers = [add(conversation, 1, parent=parent.id)[0] for parent in (first, second, first)]

    beside = siblings.siblings_of([first, *answers[:2]])

    assert beside == {
        first.id: siblings.Siblings(0, 2, [first.id, second.id]),
        answers[0].id: siblings.Siblings(0, 2, [answers[0].id, answers[2].id]),
        answers[1].id: siblings.Siblings(0, 1, [answers[1].id]),
    }
    assert siblings.siblings_of([]) == {}
