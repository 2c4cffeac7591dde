import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import httpx
import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User


def login(server: Server, username: str, password: str, *, address: str = "") -> httpx.Response:
    # A proxy on the same machine is believed when it says for whom it asks.
    headers = {"Accept-Language": "en"} | ({"X-Forwarded-For": address} if address else {})
    with server.client(headers=headers, timeout=60) as client:
        return client.post("/api/auth/login", json={"username": username, "password": password})


def test_every_spelling_of_the_name_signs_in(server: Server) -> None:
    user = server.user(username="Grüße")

    responses = [login(server, name, user.password) for name in ("Grüße", "GRÜSSE", " grüße ")]

    assert [response.status_code for response in responses] == [200, 200, 200]
    assert [response.json()["user"]["username"] for response in responses] == ["Grüße"] * 3


def test_wrong_unknown_and_deactivated_look_alike(
    server: Server, alice: User, bob: User, administrator: Visitor
) -> None:
    administrator.change_user(bob.id, is_active=None)

    wrong = login(server, alice.username, "wrong")
    unknown = login(server, "nobody-at-all", "wrong")
    deactivated = login(server, bob.username, bob.password)

    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_login")
    bodies = [answer.json() | {"requestId": ""} for answer in (wrong, unknown, deactivated)]
    assert bodies == [bodies[0]] * 3
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_name_takes_as_long_as_a_wrong_password(sqlite_server: Server) -> None:
    user = sqlite_server.user()

    def seconds(username: str) -> float:
        begun = time.perf_counter()
        login(sqlite_server, username, "wrong")
        return time.perf_counter() - begun

    # Without a hash for the unknown name this would be a hundredth.
    unknown = median(seconds("nobody-at-all") for _ in range(5))
    known = median(seconds(user.username) for _ in range(5))
    assert 0.4 < unknown / known < 2.5


@pytest.mark.parametrize("body", [{}, {"username": "a"}, {"password": "a"}, {"username": 1, "password": {}}])
def test_what_is_missing_is_told(sqlite_server: Server, body: dict[str, object]) -> None:
    with sqlite_server.client() as client:
        response = client.post("/api/auth/login", json=body)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert set(response.json()["fields"]) <= {"username", "password"}


def test_a_stale_token_does_not_keep_anybody_from_signing_in(sqlite_server: Server) -> None:
    user = sqlite_server.user()

    with sqlite_server.client(headers={"Authorization": "Bearer stale"}) as client:
        response = client.post("/api/auth/login", json={"username": user.username, "password": user.password})

    assert response.status_code == 200


def test_an_address_may_try_an_account_only_so_often(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="3/h")
    user = server.user()

    guesses = [login(server, user.username, f"guess-{n}", address="198.51.100.7") for n in range(4)]
    other_name = login(server, "somebody-else", "guess", address="198.51.100.7")
    owner = login(server, user.username, user.password, address="203.0.113.9")

    assert [guess.status_code for guess in guesses] == [401, 401, 401, 429]
    assert guesses[3].json()["code"] == "rate_limited"
    assert 1 <= int(guesses[3].headers["Retry-After"]) <= 3600
    assert other_name.status_code == 401
    assert owner.status_code == 200


def test_an_address_may_not_try_one_account_after_another(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="1/h")

    guesses = [login(server, f"name-{n}", "guess", address="198.51.100.7") for n in range(11)]

    assert [guess.status_code for guess in guesses] == [401] * 10 + [429]


def test_an_account_is_guarded_against_many_addresses(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="1/h")
    user = server.user()
    names = [user.username, user.username.upper()] * 5

    guesses = [login(server, name, "guess", address=f"198.51.100.{n}") for n, name in enumerate(names)]
    eleventh = login(server, user.username, user.password, address="203.0.113.9")

    assert {guess.status_code for guess in guesses} == {401}
    assert eleventh.status_code == 429


def test_one_line_of_ipv6_is_one_address(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="1/h")

    first, second, elsewhere = (
        login(server, name, "guess", address=address).status_code
        for name, address in [
            ("a", "2001:db8:1:2::1"),
            ("a", "2001:db8:1:2:ffff::9"),
            ("a", "2001:db8:1:3::1"),
        ]
    )

    assert (first, second, elsewhere) == (401, 429, 401)


def count_at_once(server: Server, requests: int) -> Counter[int]:
    with ThreadPoolExecutor(requests) as pool:
        return Counter(pool.map(lambda _: login(server, "nobody", "guess").status_code, range(requests)))


def test_of_200_at_once_exactly_as_many_as_allowed_are_let_through(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(LOGIN_RATE_LIMIT="20/d")

    assert count_at_once(server, 200) == {401: 20, 429: 180}


def test_processes_on_postgresql_count_together(
    make_server: Callable[..., Server], postgres_url: str
) -> None:
    server = make_server(LOGIN_RATE_LIMIT="20/d", DATABASE_URL=postgres_url, WEB_CONCURRENCY="2")

    assert count_at_once(server, 200) == {401: 20, 429: 180}


def test_processes_on_redis_count_together(
    make_server: Callable[..., Server], postgres_url: str, redis_url: str
) -> None:
    server = make_server(
        LOGIN_RATE_LIMIT="21/d", DATABASE_URL=postgres_url, REDIS_URL=redis_url, WEB_CONCURRENCY="2"
    )

    assert count_at_once(server, 200) == {401: 21, 429: 179}
