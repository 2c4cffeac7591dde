from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.server import Server

PASSWORD = "correct horse battery"


def register(server: Server, **body: object) -> httpx.Response:
    with server.client(headers={"Accept-Language": "en"}) as client:
        return client.post("/api/auth/register", json=body)


def test_a_new_user_is_signed_in(server: Server) -> None:
    response = register(server, username="Newcomer", password=PASSWORD, email="new@example.org")

    signed_in = response.json()
    assert response.status_code == 201
    assert set(signed_in) == {"user", "access", "refresh"}
    assert {name: signed_in["user"][name] for name in ("username", "email", "isStaff", "language")} == {
        "username": "Newcomer",
        "email": "new@example.org",
        "isStaff": False,
        "language": "",
    }
    with server.client(headers={"Authorization": f"Bearer {signed_in['access']}"}) as client:
        assert client.get("/api/auth/me").json() == signed_in["user"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Jose", "JOSE"), ("wide", "ｗｉｄｅ"), ("Ζωή", "ζωή"), ("straße", "STRASSE"), ("Ünal", "U\u0308nal")],
)
def test_a_name_is_taken_in_every_spelling(server: Server, first: str, second: str) -> None:
    assert register(server, username=first, password=PASSWORD).status_code == 201

    response = register(server, username=second, password=PASSWORD)

    assert response.status_code == 400
    assert response.json()["fields"] == {"username": ["This username is taken."]}


def test_of_many_who_want_one_name_at_once_one_gets_it(server: Server) -> None:
    spellings = ["Contested", "contested", "CONTESTED", "ｃontested"] * 4

    with ThreadPoolExecutor(len(spellings)) as pool:
        tries = list(pool.map(lambda name: register(server, username=name, password=PASSWORD), spellings))

    assert Counter(response.status_code for response in tries) == {201: 1, 400: len(spellings) - 1}
    refused = [response.json() for response in tries if response.status_code == 400]
    assert all(body["fields"] == {"username": ["This username is taken."]} for body in refused)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "username"),
        ({"username": "someone"}, "password"),
        ({"username": "", "password": PASSWORD}, "username"),
        ({"username": "two words", "password": PASSWORD}, "username"),
        ({"username": "a" * 151, "password": PASSWORD}, "username"),
        ({"username": "nul\0", "password": PASSWORD}, "username"),
        ({"username": None, "password": PASSWORD}, "username"),
        ({"username": ["a"], "password": PASSWORD}, "username"),
        ({"username": "short", "password": "a1b2c3"}, "password"),
        ({"username": "digits", "password": "8402750183"}, "password"),
        ({"username": "common", "password": "password"}, "password"),
        ({"username": "similar-name", "password": "similar-name"}, "password"),
        ({"username": "endless", "password": "x1" * 1000}, "password"),
        ({"username": "mail", "password": PASSWORD, "email": "nowhere"}, "email"),
    ],
)
def test_bad_input_is_told_by_its_field(sqlite_server: Server, body: dict[str, object], field: str) -> None:
    response = register(sqlite_server, **body)

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert list(response.json()["fields"]) == [field]


def test_a_lone_surrogate_is_refused(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        response = client.post(
            "/api/auth/register",
            content=b'{"username": "half\\ud83d", "password": "half\\ud83d-password"}',
            headers={"Content-Type": "application/json"},
        )

    assert response.status_code == 400
    assert set(response.json()["fields"]) == {"username", "password"}


def test_registration_can_be_closed(make_server: Callable[..., Server]) -> None:
    server = make_server(REGISTRATION_OPEN="0")

    response = register(server, username="late", password=PASSWORD)

    assert (response.status_code, response.json()["code"]) == (403, "registration_closed")
    with server.client() as client:
        assert client.get("/accounts/register").status_code == 403
        assert client.post("/accounts/register", data={"username": "late"}).status_code == 403
        assert "/accounts/register" not in client.get("/accounts/login").text


def test_an_address_registers_only_so_often(make_server: Callable[..., Server]) -> None:
    server = make_server(REGISTER_RATE_LIMIT="2/h")
    for name in ("first", "second"):
        assert register(server, username=name, password=PASSWORD).status_code == 201

    response = register(server, username="third", password=PASSWORD)

    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
