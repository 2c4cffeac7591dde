import base64
import json
from collections.abc import Callable

import httpx
import jwt
import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User

# One of each kind: a plain DRF view, the streaming view and what it refuses, somebody else's app.
CALLS = [
    ("GET", "/api/auth/me", None),
    ("POST", "/api/chat/stream", {"message": "Hi", "provider": "demo", "model": "demo"}),
    ("POST", "/api/chat/stream", {"message": ""}),
    ("POST", "/api/chat/stream", {"message": "Hi", "sessionId": "none of theirs"}),
    ("OPTIONS", "/api/chat/stream", None),
    ("GET", "/api/chat/stream", None),
    ("GET", "/api/chat/sessions", None),
    ("GET", "/api/providers", None),
]


def post(server: Server, path: str, token: object) -> httpx.Response:
    with server.client() as client:
        return client.post(f"/api/auth/{path}", json={"refresh": token})


def codes(user: User) -> set[tuple[int, str]]:
    answers = [user.request(method, path, json=body) for method, path, body in CALLS]
    return {(answer.status_code, answer.json().get("code", "")) for answer in answers}


def works(server: Server, access: str) -> bool:
    with server.client(headers={"Authorization": f"Bearer {access}"}) as client:
        return client.get("/api/auth/me").status_code == 200


def test_a_refresh_token_is_refused_after_logout(server: Server, alice: User) -> None:
    assert post(server, "logout", alice.refresh).status_code == 204
    assert post(server, "logout", alice.refresh).status_code == 204

    assert post(server, "refresh", alice.refresh).status_code == 401


def test_logging_out_ends_one_sign_in_only(server: Server, alice: User) -> None:
    elsewhere = server.login(alice.username, alice.password)

    post(server, "logout", alice.refresh)

    assert post(server, "refresh", elsewhere.refresh).status_code == 200


@pytest.mark.parametrize("path", ["refresh", "logout"])
@pytest.mark.parametrize("token", ["", "x", "é", "a.b.c", None, 1, ["x"], "x" * 5000])
def test_what_is_no_token_is_refused(sqlite_server: Server, path: str, token: object) -> None:
    response = post(sqlite_server, path, token)

    assert response.status_code in {400, 401}
    assert response.json()["code"] in {"invalid", "invalid_token"}


@pytest.fixture(scope="module")
def user(sqlite_server: Server) -> User:
    return sqlite_server.user()


def unsigned(token: str, **head: str) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", **head}).encode()).rstrip(b"=").decode()
    return f"{encoded}.{token.split('.')[1]}."


def forged(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, "not-the-key-of-this-server-but-long-enough", algorithm="HS256")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda user: "Bearer",
        lambda user: "Bearer x",
        lambda user: f"Bearer {user.access} {user.access}",
        lambda user: f"Bearer {user.refresh}",
        lambda user: f"Bearer {user.access[:-4]}AAAA",
        lambda user: f"Bearer {user.access.rsplit('.', 1)[0]}.",
        lambda user: f"Bearer {unsigned(user.access, alg='none')}",
        lambda user: f"Bearer {unsigned(user.access, alg='HS512')}",
        lambda user: f"Bearer {unsigned(user.access, alg='RS256')}",
        lambda user: f"Bearer {forged(user.access)}",
        lambda user: "Bearer " + "x" * 10_000,
        lambda user: "Bearer \xff\xfe",
    ],
)
def test_a_bad_bearer_token_is_refused(
    sqlite_server: Server, user: User, spoil: Callable[[User], str]
) -> None:
    with sqlite_server.client() as client:
        response = client.get("/api/auth/me", headers={b"Authorization": spoil(user).encode("latin-1")})

    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Token abc", "bearerx abc"])
def test_without_a_bearer_token_one_is_not_signed_in(sqlite_server: Server, header: str | None) -> None:
    with sqlite_server.client(headers={"Authorization": header} if header else {}) as client:
        response = client.get("/api/auth/me")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_password_change_ends_every_token_at_once(server: Server, alice: User, bob: User) -> None:
    elsewhere = server.login(alice.username, alice.password)

    changed = alice.post("/api/auth/password", json={"current": alice.password, "new": "an entirely new one"})

    assert changed.status_code == 200
    for old in (alice, elsewhere):
        assert codes(old) == {(401, "invalid_token")}
        assert post(server, "refresh", old.refresh).status_code == 401
    assert works(server, changed.json()["access"])
    assert server.login(alice.username, "an entirely new one").id == alice.id
    assert works(server, bob.access)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"current": "wrong", "new": "an entirely new one"}, "current"), ({"new": "12345"}, "new")],
)
def test_a_password_is_not_changed_without_the_old_or_to_a_weak_one(
    sqlite_server: Server, given: dict[str, str], field: str
) -> None:
    user = sqlite_server.user()

    response = user.post("/api/auth/password", json={"current": user.password} | given)

    assert (response.status_code, list(response.json()["fields"])) == (400, [field])
    assert works(sqlite_server, user.access)


def test_the_password_cannot_be_guessed_with_a_stolen_token(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="2/h")
    user = server.user()

    guesses = [
        user.post("/api/auth/password", json={"current": f"guess-{n}", "new": "an entirely new one"})
        for n in range(3)
    ]

    assert [guess.status_code for guess in guesses] == [400, 400, 429]


def test_deactivation_ends_every_token_at_once(
    server: Server, alice: User, bob: User, administrator: Visitor
) -> None:
    administrator.change_user(alice.id, is_active=None)

    assert codes(alice) == {(401, "invalid_token")}
    refused = post(server, "refresh", alice.refresh)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert works(server, bob.access)


def test_the_numbers_are_for_administrators(sqlite_server: Server) -> None:
    assert sqlite_server.admin().get("/metrics").status_code == 200
    assert sqlite_server.user().get("/metrics").status_code == 403


def test_an_ended_token_gives_no_answer_back(server: Server, alice: User, administrator: Visitor) -> None:
    body = {"message": "Hi", "provider": "demo", "model": "demo"}
    begun = alice.stream("Hi")
    place = {"Last-Event-ID": next(event.id for event in begun if event.name == "message")}
    assert alice.stream("Hi", headers=place).done == begun.done

    administrator.change_user(alice.id, is_active=None)

    refused = alice.post("/api/chat/stream", json=body, headers=place)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_a_deleted_user_is_signed_out(server: Server, alice: User, administrator: Visitor) -> None:
    alice.stream("something that is deleted with the account")
    post(server, "refresh", alice.refresh)
    later = server.login(alice.username, alice.password)
    deleted = administrator.submit(f"/admin/accounts/user/{alice.id}/delete/", {"post": "yes"})
    assert deleted.status_code == 302

    assert codes(later) == {(401, "invalid_token")}
    assert post(server, "refresh", later.refresh).status_code == 401
    assert post(server, "logout", later.refresh).status_code in {204, 401}


@pytest.mark.django_db
def test_a_token_does_not_give_the_session_hash_away() -> None:
    from accounts import tokens
    from accounts.models import User as Account

    user = Account.objects.create_user("someone", password="a password")

    claims = jwt.decode(tokens.pair(user)["access"], options={"verify_signature": False})

    assert user.get_session_auth_hash() not in str(claims)
    assert user.password not in str(claims)


def test_an_access_token_that_was_read_before_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts import tokens
    from accounts.models import User as Account

    token = tokens.AccessToken.for_user(Account(pk=1, password="x"))
    text = str(token)
    assert tokens.access_token(text).payload == tokens.access_token(text).payload == token.payload

    at_its_end = token.current_time + token.lifetime
    monkeypatch.setattr(tokens, "aware_utcnow", lambda: at_its_end)

    with pytest.raises(tokens.TokenError):
        tokens.access_token(text)
