"""Bodies with fields that nobody knows, and bodies that leave out what can be filled in."""

import pytest

from tests.server import User
from tests.upstream import Upstream

NOBODY = "00000000-0000-7000-8000-000000000000"
FOREIGN = {"messages": [], "system": "s", "temperature": 1, "tools": [], "max_tokens": 9, "Stream": False}


@pytest.fixture(scope="module")
def session(sqlite_server) -> tuple[User, dict]:
    user = sqlite_server.user()
    return user, user.stream("Hi").session


def refused(user: User, method: str, path: str, body: dict) -> set[str]:
    response = user.request(method, f"/api/chat/{path}", json=body)
    assert response.status_code == 400, response.text
    assert response.json()["code"] == "invalid"
    return set(response.json()["fields"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "stream", {"message": "Hi", "provider": "demo", "model": "demo"}),
        ("POST", "sessions", {"provider": "demo", "model": "demo"}),
        ("PATCH", "sessions/{sessionId}", {"pinned": True}),
        ("PUT", "sessions/{sessionId}/title", {"title": "t"}),
        ("PUT", "sessions/{sessionId}/branch", {"messageId": NOBODY}),
        ("POST", "sessions/{sessionId}/regenerate", {}),
        ("POST", "messages/{userMessageId}/edit", {"message": "Hi"}),
        ("POST", "messages/{messageId}/continue", {}),
    ],
)
def test_an_unknown_field_is_refused_by_name(session, method, path, body):
    user, ids = session
    path = path.format(**ids)

    assert refused(user, method, path, body | FOREIGN) == set(FOREIGN)
    assert len(user.messages(ids["sessionId"])) == 2


def test_all_that_is_wrong_is_named_at_once(session):
    user, _ = session

    assert refused(user, "POST", "stream", {"message": " ", "mesage": "Hi", "stream": "no"}) == {
        "message",
        "mesage",
        "stream",
    }


def test_a_session_can_be_sent_back_as_it_was_given(session):
    user, ids = session
    path = f"/api/chat/sessions/{ids['sessionId']}"
    given = user.get(path).json()

    changed = user.patch(path, json=given | {"pinned": True})

    assert changed.status_code == 200
    assert changed.json() == given | {"pinned": True}


def test_a_conversation_goes_on_with_its_own_provider_and_model(alice: User, upstream: Upstream):
    model, other = upstream.script("one"), upstream.script("two")
    ids = alice.stream("Hi", "custom", model).session
    alice.stream("Hi", "custom", other)

    answer = alice.post("/api/chat/stream", json={"message": "on", "sessionId": ids["sessionId"]})

    assert answer.status_code == 200
    assert [stored["model"] for stored in alice.messages(ids["sessionId"])[1::2]] == [model, model]
    assert len(model.requests) == 2


def test_a_new_conversation_begins_as_on_the_page(alice: User, upstream: Upstream):
    model = upstream.script("one")
    alice.stream("Hi", "custom", model)

    begun = alice.post("/api/chat/sessions", json={}).json()
    assert (begun["provider"], begun["model"]) == ("custom", model)
    assert alice.post("/api/chat/stream", json={"message": "again"}).status_code == 200
    assert len(model.requests) == 2
    # A model alone belongs to that provider, a provider alone has its own default.
    other = upstream.script("two")
    assert alice.post("/api/chat/stream", json={"message": "m", "model": other}).status_code == 200
    assert len(other.requests) == 1
    demo = alice.post("/api/chat/sessions", json={"provider": "demo"}).json()
    assert (demo["provider"], demo["model"]) == ("demo", "demo")


def test_a_provider_without_a_default_model_needs_one(alice: User):
    assert refused(alice, "POST", "stream", {"message": "Hi", "provider": "custom"}) == {"model"}
