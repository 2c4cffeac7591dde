import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User

STREAM = {"message": "Hi", "provider": "demo", "model": "demo"}
UNSAFE = [
    ("POST", "/api/chat/stream", STREAM),
    ("PATCH", "/api/auth/me", {"language": "en"}),
    ("PUT", "/api/providers/openai/config", {"defaultModel": "m"}),
    ("POST", "/api/providers/demo/test", {}),
]


@pytest.fixture
def visitor(server: Server, alice: User) -> Visitor:
    visitor = Visitor(server)
    visitor.sign_in(alice.username, alice.password)
    return visitor


def test_the_cookie_of_the_page_opens_the_api(visitor: Visitor, alice: User) -> None:
    assert visitor.api("GET", "/api/auth/me", csrf=False).json()["id"] == alice.id


def test_an_unsafe_call_needs_the_csrf_token(visitor: Visitor) -> None:
    for method, path, body in UNSAFE:
        without = visitor.api(method, path, csrf=False, json=body)
        with_token = visitor.api(method, path, json=body)

        assert (without.status_code, without.json()["code"]) == (403, "csrf_failed")
        assert with_token.status_code == 200


def test_another_site_is_refused_even_with_the_token(visitor: Visitor) -> None:
    headers = {"X-CSRFToken": visitor.http.cookies["csrftoken"], "Origin": "https://elsewhere.example"}

    response = visitor.http.post("/api/providers/demo/test", json={}, headers=headers)

    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


def test_the_page_of_somebody_else_is_refused(visitor: Visitor, alice: User, bob: User) -> None:
    own, others, nobodys = (
        visitor.http.get("/api/auth/me", headers={"X-Chat-User": str(page_of)})
        for page_of in (alice.id, bob.id, "")
    )

    assert [response.status_code for response in (own, others, nobodys)] == [200, 409, 409]
    assert others.json()["code"] == "other_user"


def test_a_bad_token_is_refused_whatever_the_cookie(visitor: Visitor) -> None:
    response = visitor.http.get("/api/auth/me", headers={"Authorization": "Bearer stale"})

    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


def test_a_bearer_token_needs_no_csrf_token(visitor: Visitor, bob: User) -> None:
    headers = {"Authorization": f"Bearer {bob.access}"}

    response = visitor.http.patch("/api/auth/me", json={"language": "en"}, headers=headers)

    assert (response.status_code, response.json()["id"]) == (200, bob.id)


def test_a_password_change_ends_every_other_session(server: Server, alice: User, visitor: Visitor) -> None:
    other = Visitor(server)
    other.sign_in(alice.username, alice.password)

    changed = visitor.api(
        "POST", "/api/auth/password", json={"current": alice.password, "new": "an entirely new one"}
    )

    assert changed.status_code == 200
    assert visitor.api("GET", "/api/auth/me").status_code == 200
    assert other.api("GET", "/api/auth/me").status_code == 401
    assert other.api("POST", "/api/chat/stream", json=STREAM).status_code == 401
    assert other.get("/accounts/password").status_code == 302
    assert visitor.get("/accounts/password").status_code == 200
    assert alice.get("/api/auth/me").status_code == 401


def test_deactivation_ends_the_session(alice: User, visitor: Visitor, administrator: Visitor) -> None:
    administrator.change_user(alice.id, is_active=None)

    assert visitor.api("GET", "/api/auth/me").status_code == 401
    assert visitor.api("POST", "/api/chat/stream", json=STREAM).status_code == 401
    assert visitor.get("/accounts/password").status_code == 302


def test_signing_out_ends_the_session(server: Server, visitor: Visitor) -> None:
    kept = f"sessionid={visitor.http.cookies['sessionid']}"

    signed_out = visitor.api("POST", "/accounts/logout")

    assert signed_out.status_code == 302
    with server.client(headers={"Cookie": kept}) as client:
        assert client.get("/api/auth/me").status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "a" * 32, "../../etc/passwd", "a" * 3000])
def test_a_made_up_cookie_is_nobodys(sqlite_server: Server, cookie: str) -> None:
    with sqlite_server.client(headers={"Cookie": f"sessionid={cookie}"}) as client:
        response = client.get("/api/auth/me")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


# In quotes, a backslash and three digits are the character of that number.
@pytest.mark.parametrize("cookie", [r'"\000aaaaaaaaaaaa"', '"' + r"\377" * 12 + '"', "A" * 32])
def test_a_cookie_that_cannot_be_ours_is_asked_of_no_database(server: Server, cookie: str) -> None:
    with server.client(headers={"Cookie": f"sessionid={cookie}"}) as client:
        answers = [
            client.get(path).status_code for path in ("/api/auth/me", "/metrics", "/", "/accounts/login")
        ]

    assert answers == [401, 401, 302, 200]
