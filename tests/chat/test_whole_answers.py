"""`stream: false`: the finished answer as one JSON object."""

import httpx
import pytest

from tests.server import User
from tests.upstream import Cut, Hold, Reasoning, Upstream


def ask(user: User, message: str, model: str, headers: dict | None = None, **body) -> httpx.Response:
    body = {"message": message, "provider": "custom", "model": model, "stream": False} | body
    return user.post("/api/chat/stream", json=body, headers=headers)


def test_the_answer_is_the_stored_message_and_where_it_is_kept(alice: User, upstream: Upstream):
    response = ask(alice, "Hi", upstream.script(Reasoning("hm"), "Hel", "lo 🌍"))

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    answer = response.json()
    question, stored = alice.messages(answer["sessionId"])
    ids = {name: answer.pop(name) for name in ("messageId", "sessionId", "userMessageId", "title")}
    assert answer == stored
    assert (answer["content"], answer["reasoning"], answer["status"]) == ("Hello 🌍", "hm", "complete")
    assert (ids["messageId"], ids["userMessageId"], ids["title"]) == (stored["id"], question["id"], "Hi")


def test_a_failure_is_an_error_that_names_the_message(alice: User, upstream: Upstream):
    english = {"Accept-Language": "en"}
    response = ask(alice, "Hi", upstream.script("half", Cut()), english)

    error = response.json()
    assert error["error"].isascii()
    assert response.status_code == 502
    assert (error["code"], error["retryable"]) == ("broken_stream", True)
    stored = alice.messages(error["sessionId"])[-1]
    assert (stored["id"], stored["content"], stored["status"]) == (error["messageId"], "half", "failed")


def test_a_limit_of_the_provider_says_when_to_try_again(alice: User, upstream: Upstream):
    response = ask(alice, "Hi", upstream.failing(429, headers={"Retry-After": "1000"}))

    assert response.status_code == 503
    assert response.json()["code"] == "provider_rate_limited"
    assert int(response.headers["Retry-After"]) >= 900


def test_a_repeat_gets_the_same_answer(alice: User, upstream: Upstream):
    model = upstream.script("once")
    key = {"Idempotency-Key": "whole"}

    first, again = (ask(alice, "Hi", model, key) for _ in range(2))

    assert first.json() == again.json()
    assert len(model.requests) == 1
    assert ask(alice, "Hi", model, key, stream=True).status_code == 409


def test_the_answer_is_finished_though_the_client_has_gone(alice: User, upstream: Upstream):
    model = upstream.script("all ", Hold(), "of it")
    key = {"Idempotency-Key": "gone"}
    body = {"message": "Hi", "provider": "custom", "model": model, "stream": False}
    with alice.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post("/api/chat/stream", json=body, headers=key, timeout=1)
    model.wait_for_request()
    model.release()

    answer = ask(alice, "Hi", model, key).json()

    assert answer["content"] == "all of it"
    assert len(model.requests) == 1


@pytest.mark.parametrize("how", ["regenerate", "edit", "continue"])
def test_every_way_to_begin_an_answer_gives_it_whole(alice: User, upstream: Upstream, how: str):
    model = upstream.script("half", finish="length")
    ids = alice.stream("Hi", "custom", model).session
    path, body = {
        "regenerate": (f"sessions/{ids['sessionId']}/regenerate", {}),
        "edit": (f"messages/{ids['userMessageId']}/edit", {"message": "Ho"}),
        "continue": (f"messages/{ids['messageId']}/continue", {}),
    }[how]

    answer = alice.post(f"/api/chat/{path}", json=body | {"stream": False})

    assert answer.status_code == 200
    assert answer.json()["content"] == ("halfhalf" if how == "continue" else "half")
    assert len(model.requests) == 2
