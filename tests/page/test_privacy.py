"""Pages belong to who is signed in."""

import uuid

import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server


@pytest.fixture
def bob(server: Server) -> Visitor:
    user = server.user()
    visitor = Visitor(server)
    visitor.sign_in(user.username, user.password)
    return visitor


def test_a_strangers_conversation_is_not_there(server: Server, bob: Visitor) -> None:
    alice = server.user()
    opening = alice.stream("A secret of alice /fast")[0].data
    session_id, message_id = opening["sessionId"], opening["messageId"]

    for path in (f"/c/{session_id}", f"/c/{session_id}/messages/{message_id}", f"/c/{uuid.uuid4()}"):
        assert bob.get(path).status_code == 404
    assert "secret of alice" not in bob.get("/history?q=secret").text
    assert "secret of alice" not in bob.get("/").text
    mine = Visitor(server)
    mine.sign_in(alice.username, alice.password)
    assert "secret of alice" in mine.get(f"/c/{session_id}").text
    assert mine.get(f"/c/{session_id}/messages/{message_id}").status_code == 200


def test_a_message_is_not_shown_within_another_conversation(server: Server) -> None:
    alice = server.user()
    first, second = (alice.stream(f"{word} /fast")[0].data for word in ("one", "two"))
    mine = Visitor(server)
    mine.sign_in(alice.username, alice.password)

    assert mine.get(f"/c/{first['sessionId']}/messages/{second['messageId']}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/history", "/settings", "/settings/providers/openai", f"/c/{uuid.UUID(int=7)}"]
)
def test_whoever_is_not_signed_in_is_asked_to(server: Server, path: str) -> None:
    response = Visitor(server).get(path)

    assert response.status_code == 302
    assert response.headers["location"].startswith("/accounts/login?next=/")


def test_pages_are_kept_in_no_cache(server: Server, bob: Visitor) -> None:
    for path in ("/", "/history", "/settings"):
        assert "no-store" in bob.get(path).headers["cache-control"]


def test_forms_without_their_token_are_refused(server: Server, bob: Visitor) -> None:
    for path in ("/settings/language", "/settings/providers/openai", "/settings/providers/openai/delete"):
        response = bob.http.post(path, data={"language": "en", "apiKey": "sk-forged-key-0000"})
        assert response.status_code == 403
    assert "••••" not in bob.get("/settings").text


def test_the_list_goes_on_page_by_page(server: Server) -> None:
    alice = server.user()
    for number in range(55):
        alice.post(
            "/api/chat/sessions", json={"title": f"talk {number:02}", "provider": "demo", "model": "demo"}
        )
    mine = Visitor(server)
    mine.sign_in(alice.username, alice.password)

    first = mine.get("/history").text
    after = first.partition("after=")[2].partition('"')[0]
    second = mine.get(f"/history?after={after}").text

    def found(page: str) -> set[int]:
        main = page.partition("<main")[2]
        return {number for number in range(55) if f"talk {number:02}" in main}

    assert len(found(first)) == 50
    assert found(first) | found(second) == set(range(55))
    assert not found(first) & found(second)
    assert mine.get("/history?after=nonsense").status_code == 200
