"""What is somebody else's cannot be told from what is not there, on every route."""

import pytest

from tests.server import Server, User

ROUTES = [
    ("GET", "/api/chat/sessions/{session}", None),
    ("PATCH", "/api/chat/sessions/{session}", {"title": "mine now"}),
    ("DELETE", "/api/chat/sessions/{session}", None),
    ("GET", "/api/chat/sessions/{session}/messages", None),
    ("GET", "/api/chat/sessions/{session}/messages?branches=all", None),
    ("PUT", "/api/chat/sessions/{session}/title", {"title": "mine now"}),
    ("POST", "/api/chat/sessions/{session}/stop", None),
    ("GET", "/api/chat/sessions/{session}/stream", None),
    ("POST", "/api/chat/sessions/{session}/regenerate", {}),
    ("POST", "/api/chat/sessions/{session}/regenerate", {"messageId": "{answer}"}),
    ("PUT", "/api/chat/sessions/{session}/branch", {"messageId": "{answer}"}),
    (
        "POST",
        "/api/chat/stream",
        {"message": "Hi", "provider": "demo", "model": "demo", "sessionId": "{session}"},
    ),
    ("POST", "/api/chat/messages/{question}/edit", {"message": "mine now"}),
    ("POST", "/api/chat/messages/{answer}/continue", None),
    ("DELETE", "/api/chat/messages/{answer}", None),
    ("DELETE", "/api/chat/messages/{question}", None),
]
NOWHERE = "0192f0c1-2345-7abc-8def-0123456789ab"


@pytest.fixture
def conversation(alice: User) -> dict[str, str]:
    opened = alice.stream("between us").session
    return {
        "session": opened["sessionId"],
        "question": opened["userMessageId"],
        "answer": opened["messageId"],
    }


def ask(user: User, method: str, path: str, body: object, ids: dict[str, str]) -> tuple[int, object]:
    filled = {name: value.format(**ids) for name, value in body.items()} if isinstance(body, dict) else body
    response = user.request(method, path.format(**ids), json=filled)
    answer = response.json() if response.content else None
    # Each request has an id of its own.
    return response.status_code, {**answer, "requestId": ""} if isinstance(answer, dict) else answer


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_stranger_sees_what_nobody_has(
    alice: User, bob: User, conversation: dict[str, str], method: str, path: str, body: object
) -> None:
    before = alice.messages(conversation["session"], branches="all")
    nobodys = dict.fromkeys(conversation, NOWHERE)

    theirs = ask(bob, method, path, body, conversation)
    missing = ask(bob, method, path, body, nobodys)

    assert theirs == missing
    assert theirs[0] == 404
    assert alice.messages(conversation["session"], branches="all") == before
    assert alice.get(f"/api/chat/sessions/{conversation['session']}").json()["title"] == "between us"


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_nobody_gets_in_without_signing_in(
    server: Server, conversation: dict[str, str], method: str, path: str, body: object
) -> None:
    with server.client() as client:
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            response = client.request(method, path.format(**conversation), json=body, headers=headers)
            assert response.status_code == 401, headers
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert {"error", "code", "requestId"} == set(response.json())


def test_lists_and_searches_hold_the_callers_own_only(
    alice: User, bob: User, conversation: dict[str, str]
) -> None:
    assert bob.get("/api/chat/sessions").json()["sessions"] == []
    assert bob.get("/api/chat/sessions", params={"q": "between"}).json()["sessions"] == []
    assert bob.get("/api/chat/sessions", params={"archived": "all"}).json()["sessions"] == []


def test_a_message_cannot_be_reached_through_another_conversation(
    alice: User, bob: User, conversation: dict[str, str]
) -> None:
    own = bob.stream("mine").session["sessionId"]

    for path in ("regenerate", "branch"):
        method = "POST" if path == "regenerate" else "PUT"
        response = bob.request(
            method, f"/api/chat/sessions/{own}/{path}", json={"messageId": conversation["question"]}
        )
        assert (response.status_code, response.json()["code"]) == (404, "message_not_found")


def test_an_event_id_of_another_conversation_opens_nothing(
    alice: User, bob: User, conversation: dict[str, str]
) -> None:
    own = bob.stream("mine").session["sessionId"]

    response = bob.get(
        f"/api/chat/sessions/{own}/stream", headers={"Last-Event-ID": f"{conversation['answer']}:0-0"}
    )

    assert response.status_code == 204
