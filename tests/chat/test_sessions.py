"""Conversations and messages over the API."""

import uuid

import pytest

from tests.server import User


def sessions(user: User, **params: object) -> list[dict[str, object]]:
    response = user.get("/api/chat/sessions", params=params)
    assert response.status_code == 200, response.text
    return list(response.json()["sessions"])


def created(user: User, **body: object) -> dict[str, object]:
    response = user.post("/api/chat/sessions", json={"provider": "demo", "model": "demo"} | body)
    assert response.status_code == 201, response.text
    return dict(response.json())


def test_a_conversation_can_be_made_without_a_message(alice: User) -> None:
    session = created(alice, title="Plans")

    assert session["title"] == "Plans"
    assert set(session) >= {"id", "title", "provider", "model", "createdAt", "updatedAt"}
    assert alice.messages(str(session["id"])) == []
    assert alice.stream("Hi", sessionId=session["id"]).session["title"] == "Plans"
    assert created(alice)["title"] == "新对话"


def test_the_first_message_names_a_conversation_without_a_title(alice: User) -> None:
    session = created(alice)["id"]

    first = alice.stream("Weekend plans", sessionId=session)
    second = alice.stream("And then?", sessionId=session)

    assert first.session["title"] == second.session["title"] == "Weekend plans"
    assert alice.get(f"/api/chat/sessions/{session}").json()["title"] == "Weekend plans"


def test_a_conversation_is_renamed(alice: User) -> None:
    session = created(alice)["id"]

    response = alice.put(f"/api/chat/sessions/{session}/title", json={"title": "  三体 notes 📚 "})

    assert response.json() == {"success": True}
    assert alice.get(f"/api/chat/sessions/{session}").json()["title"] == "三体 notes 📚"


@pytest.mark.parametrize("title", ["", "   ", "x" * 201, None, 5, ["x"]])
def test_a_title_has_1_to_200_characters(alice: User, title: object) -> None:
    session = created(alice, title="before")["id"]

    response = alice.put(f"/api/chat/sessions/{session}/title", json={"title": title})

    assert response.status_code == 400
    assert "title" in response.json()["fields"]
    assert alice.get(f"/api/chat/sessions/{session}").json()["title"] == "before"


def test_a_conversation_is_changed_in_part(alice: User) -> None:
    session = created(alice, title="before")["id"]

    response = alice.patch(f"/api/chat/sessions/{session}", json={"pinned": True, "model": "demo-2"})

    assert response.status_code == 200
    assert (response.json()["pinned"], response.json()["model"], response.json()["title"]) == (
        True,
        "demo-2",
        "before",
    )
    assert alice.patch(f"/api/chat/sessions/{session}", json={"mode": "nothing"}).status_code == 400
    assert alice.patch(f"/api/chat/sessions/{session}", json={"provider": "nobody"}).status_code == 400


def test_archived_conversations_are_listed_apart(alice: User) -> None:
    kept, archived = created(alice)["id"], created(alice)["id"]
    alice.patch(f"/api/chat/sessions/{archived}", json={"archived": True})

    assert [session["id"] for session in sessions(alice)] == [kept]
    assert [session["id"] for session in sessions(alice, archived="true")] == [archived]
    assert len(sessions(alice, archived="all")) == 2


def test_a_deleted_conversation_is_gone_with_its_messages(alice: User) -> None:
    answer = alice.stream("Hi")
    session = answer.session["sessionId"]

    response = alice.delete(f"/api/chat/sessions/{session}")

    assert (response.status_code, response.json()) == (200, {"success": True})
    for path in ("", "/messages", "/stream"):
        gone = alice.get(f"/api/chat/sessions/{session}{path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")
        assert gone.json()["error"] == "会话不存在"
    assert alice.delete(f"/api/chat/messages/{answer.session['messageId']}").status_code == 404


def test_conversations_are_found_by_title_and_by_what_was_said(alice: User) -> None:
    titled = created(alice, title="Weekend in Hangzhou")["id"]
    said = alice.stream("龙井茶 grows where? 100%_sure").session["sessionId"]

    assert [session["id"] for session in sessions(alice, q="hangzhou")] == [titled]
    assert [session["id"] for session in sessions(alice, q="龙井")] == [said]
    assert [session["id"] for session in sessions(alice, q="100%_sure")] == [said]
    assert sessions(alice, q="%") == sessions(alice, q="100%")
    assert sessions(alice, q="nowhere to be found") == []
    assert [session["id"] for session in sessions(alice, provider="demo", q="hang")] == [titled]
    assert sessions(alice, provider="openai") == []


def test_the_list_goes_on_by_cursor_and_repeats_nothing(alice: User) -> None:
    ids = [created(alice, title=f"n{number}")["id"] for number in range(7)]
    seen: list[object] = []
    cursor: str | None = ""
    while cursor is not None:
        page = alice.get("/api/chat/sessions", params={"limit": 3, "cursor": cursor}).json()
        seen += [session["id"] for session in page["sessions"]]
        cursor = page["next"]

    assert seen == ids[::-1]


def test_messages_go_on_by_cursor(alice: User) -> None:
    session = alice.stream("one").session["sessionId"]
    alice.stream("two", sessionId=session)
    whole = alice.messages(session)
    first = alice.get(f"/api/chat/sessions/{session}/messages", params={"limit": 3}).json()
    rest = alice.get(
        f"/api/chat/sessions/{session}/messages", params={"limit": 3, "cursor": first["next"]}
    ).json()

    assert first["messages"] + rest["messages"] == whole
    assert rest["next"] is None
    assert [message["role"] for message in whole] == ["user", "assistant"] * 2


@pytest.mark.parametrize("params", [{"cursor": "???"}, {"cursor": "aaaa"}, {"limit": "0"}, {"limit": "x"}])
def test_a_bad_page_is_refused(alice: User, params: dict[str, str]) -> None:
    session = created(alice)["id"]
    for path in ("/api/chat/sessions", f"/api/chat/sessions/{session}/messages"):
        response = alice.get(path, params=params)
        assert (response.status_code, list(response.json()["fields"])) == (400, list(params))


def test_normal_is_always_among_the_modes(alice: User) -> None:
    modes = alice.get("/api/chat/modes").json()["modes"]

    assert "normal" in [mode["id"] for mode in modes]
    assert all(set(mode) == {"id", "name", "description"} for mode in modes)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/chat/sessions/{}"),
        ("PATCH", "/api/chat/sessions/{}"),
        ("DELETE", "/api/chat/sessions/{}"),
        ("GET", "/api/chat/sessions/{}/messages"),
        ("PUT", "/api/chat/sessions/{}/title"),
        ("POST", "/api/chat/sessions/{}/stop"),
        ("GET", "/api/chat/sessions/{}/stream"),
        ("POST", "/api/chat/sessions/{}/regenerate"),
        ("PUT", "/api/chat/sessions/{}/branch"),
    ],
)
@pytest.mark.parametrize("session_id", ["0192f0c1-2345-7abc-8def-0123456789ab", "nonsense", "1"])
def test_a_conversation_that_is_not_there_is_a_404(
    alice: User, method: str, path: str, session_id: str
) -> None:
    response = alice.request(
        method, path.format(session_id), json={"title": "x", "messageId": str(uuid.uuid4())}
    )

    assert (response.status_code, response.json()["code"]) == (404, "session_not_found")


def test_unknown_paths_and_methods_are_told_in_the_one_shape(alice: User) -> None:
    for method, path, status in (
        ("GET", "/api/chat/nothing", 404),
        ("GET", "/api/chat/stream", 405),
        ("DELETE", "/api/chat/sessions", 405),
        ("POST", "/api/nothing/at/all", 404),
    ):
        response = alice.request(method, path)
        assert response.status_code == status, path
        assert {"error", "code"} <= set(response.json()), path


def test_other_formats_are_refused(alice: User) -> None:
    form = alice.post("/api/chat/sessions", data={"provider": "demo"})
    xml = alice.get("/api/chat/sessions", headers={"Accept": "application/xml"})

    assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")
    assert (xml.status_code, xml.json()["code"]) == (406, "not_acceptable")
