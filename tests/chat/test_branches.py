"""Regenerate, edit, continue, choose and delete: nothing is lost that was not deleted."""

import pytest

from tests.eventstream import Answer
from tests.server import User
from tests.upstream import Cut, Upstream, Wait


def post(user: User, path: str, **body: object) -> Answer:
    with user.opened("POST", path, json=body) as live:
        return live.rest()


def test_a_regenerated_answer_stands_beside_the_old_one(alice: User, upstream: Upstream) -> None:
    first, second = upstream.script("first"), upstream.script("second")
    opened = alice.stream("Hi", "custom", first).session
    session = opened["sessionId"]

    answer = post(alice, f"/api/chat/sessions/{session}/regenerate", model=second)

    assert answer.text == "second"
    assert answer.session["userMessageId"] == opened["userMessageId"]
    question, shown = alice.messages(session)
    assert shown["content"] == "second"
    assert shown["siblings"] == [opened["messageId"], answer.session["messageId"]]
    assert shown["parentId"] == question["id"]
    assert second.requests[0].body["messages"] == [{"role": "user", "content": "Hi"}]
    assert [message["content"] for message in alice.messages(session, branches="all")] == [
        "Hi",
        "first",
        "second",
    ]


def test_an_edit_begins_a_branch_and_the_history_follows_it(alice: User, upstream: Upstream) -> None:
    model = upstream.script("ok")
    first = alice.stream("one", "custom", model).session
    session = first["sessionId"]
    second = alice.stream("two", "custom", model, sessionId=session).session

    answer = post(alice, f"/api/chat/messages/{second['userMessageId']}/edit", message="zwei")
    alice.stream("three", "custom", model, sessionId=session)

    assert answer.session["sessionId"] == session
    sent = [message["content"] for message in model.requests[-1].body["messages"]]
    assert sent == ["one", "ok", "zwei", "ok", "three"]
    shown = [message["content"] for message in alice.messages(session)]
    assert shown == ["one", "ok", "zwei", "ok", "three", "ok"]

    alice.put(f"/api/chat/sessions/{session}/branch", json={"messageId": second["messageId"]})

    assert [message["content"] for message in alice.messages(session)] == ["one", "ok", "two", "ok"]
    alice.stream("drei", "custom", model, sessionId=session)
    sent = [message["content"] for message in model.requests[-1].body["messages"]]
    assert sent == ["one", "ok", "two", "ok", "drei"]


def test_choosing_a_branch_goes_down_to_its_newest_end(alice: User) -> None:
    first = alice.stream("one").session
    session = first["sessionId"]
    alice.stream("two", sessionId=session)
    post(alice, f"/api/chat/messages/{first['userMessageId']}/edit", message="eins")
    assert len(alice.messages(session)) == 2

    response = alice.put(f"/api/chat/sessions/{session}/branch", json={"messageId": first["userMessageId"]})

    assert response.json() == {"success": True}
    assert [m["content"] for m in alice.messages(session)][::2] == ["one", "two"]


def test_the_newest_end_counts_and_not_the_newest_answer_on_the_way(alice: User) -> None:
    session = alice.stream("one").session["sessionId"]
    second = alice.stream("two", sessionId=session).session
    post(alice, f"/api/chat/sessions/{session}/regenerate")
    alice.put(f"/api/chat/sessions/{session}/branch", json={"messageId": second["messageId"]})
    third = alice.stream("three", sessionId=session).session
    post(alice, f"/api/chat/messages/{second['userMessageId']}/edit", message="zwei")

    alice.put(f"/api/chat/sessions/{session}/branch", json={"messageId": second["userMessageId"]})

    shown = [message["id"] for message in alice.messages(session)]
    assert shown[-3:] == [second["messageId"], third["userMessageId"], third["messageId"]]


def test_continuing_adds_to_what_an_answer_has_cost(alice: User, upstream: Upstream) -> None:
    told = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    model = upstream.script("The first half, ", usage=told, finish="length")
    cut = alice.stream("Hi", "custom", model)
    model.steps = ("the second half.",)

    answer = post(alice, f"/api/chat/messages/{cut.session['messageId']}/continue")

    assert cut.done["usage"] == {"inputTokens": 7, "outputTokens": 9}
    assert answer.done["usage"] == {"inputTokens": 14, "outputTokens": 18}
    assert alice.messages(cut.session["sessionId"])[-1]["usage"] == answer.done["usage"]


def test_a_cut_answer_is_continued_in_the_same_message(alice: User, upstream: Upstream) -> None:
    model = upstream.script("The first half, ", Wait(0.1), Cut())
    cut = alice.stream("Hi", "custom", model)
    model.steps = ("the ", "second half.")

    answer = post(alice, f"/api/chat/messages/{cut.session['messageId']}/continue")

    assert answer.session["messageId"] == cut.session["messageId"]
    assert answer.text == "the second half."
    stored = alice.messages(cut.session["sessionId"])[-1]
    assert (stored["content"], stored["status"]) == ("The first half, the second half.", "complete")
    assert stored["error"] is None
    roles = [message["role"] for message in model.requests[-1].body["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert model.requests[-1].body["messages"][1]["content"] == "The first half, "
    assert len(alice.messages(cut.session["sessionId"])) == 2


def test_a_whole_answer_cannot_be_continued(alice: User) -> None:
    opened = alice.stream("Hi").session

    for message in (opened["messageId"], opened["userMessageId"]):
        response = alice.post(f"/api/chat/messages/{message}/continue")
        assert (response.status_code, response.json()["code"]) == (409, "not_continuable")


def test_only_own_words_can_be_edited(alice: User) -> None:
    opened = alice.stream("Hi").session

    response = alice.post(f"/api/chat/messages/{opened['messageId']}/edit", json={"message": "x"})

    assert (response.status_code, response.json()["code"]) == (409, "not_a_user_message")


@pytest.mark.parametrize("which", ["userMessageId", "messageId"])
def test_a_deleted_message_takes_what_hangs_below_it(alice: User, which: str) -> None:
    first = alice.stream("one").session
    session = first["sessionId"]
    second = alice.stream("two", sessionId=session).session
    alice.stream("three", sessionId=session)

    response = alice.delete(f"/api/chat/messages/{second[which]}")

    assert response.json() == {"success": True}
    left = alice.messages(session, branches="all")
    assert [message["content"] for message in left if message["role"] == "user"] == (
        ["one"] if which == "userMessageId" else ["one", "two"]
    )
    assert len(left) == (2 if which == "userMessageId" else 3)
    assert alice.stream("on it goes", sessionId=session).names[-1] == "done"


def test_after_a_deletion_the_branch_beside_it_is_shown(alice: User) -> None:
    first = alice.stream("one").session
    session = first["sessionId"]
    again = post(alice, f"/api/chat/sessions/{session}/regenerate")

    alice.delete(f"/api/chat/messages/{again.session['messageId']}")

    shown = alice.messages(session)
    assert [message["id"] for message in shown] == [first["userMessageId"], first["messageId"]]
    assert shown[-1]["siblings"] == [first["messageId"]]
