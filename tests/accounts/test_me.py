import pytest

from tests.server import Server, User


def test_the_user_is_told_and_changed(alice: User, bob: User) -> None:
    before = bob.get("/api/auth/me").json()

    changed = alice.patch(
        "/api/auth/me",
        json={"language": "en", "email": "a@example.org", "isStaff": True, "username": "root", "id": 1},
    )

    assert changed.status_code == 200
    assert changed.json() == {
        "id": alice.id,
        "username": alice.username,
        "email": "a@example.org",
        "isStaff": False,
        "language": "en",
    }
    assert alice.get("/api/auth/me").json() == changed.json()
    assert bob.get("/api/auth/me").json() == before


@pytest.mark.parametrize(("body", "field"), [({"language": "tlh"}, "language"), ({"email": "x"}, "email")])
def test_bad_values_are_refused(sqlite_server: Server, body: dict[str, str], field: str) -> None:
    user = sqlite_server.user()

    response = user.patch("/api/auth/me", json=body)

    assert (response.status_code, list(response.json()["fields"])) == (400, [field])


@pytest.mark.parametrize(("accepted", "text"), [("en", "Sign in first."), ("zh-CN", None), ("", None)])
def test_errors_follow_the_clients_language(sqlite_server: Server, accepted: str, text: str | None) -> None:
    with sqlite_server.client(headers={"Accept-Language": accepted} if accepted else {}) as client:
        missing = client.post("/api/auth/login", json={"username": "a"})
        refused = client.get("/api/auth/me")

    assert refused.status_code == 401
    assert missing.json()["fields"]["password"] == ["This field is required." if text else "该字段是必填项。"]
    if text:
        assert refused.json()["error"] == text
