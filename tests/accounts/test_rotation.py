"""Exchanging refresh tokens: the same answer for a short while, and the end of the sign-in after that."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import jwt
import pytest
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts import rotation, tokens
from accounts.models import User as Account
from tests.server import Server, User

Pair = dict[str, str]
LATER = rotation.GRACE + timedelta(seconds=1)


def post(server: Server, path: str, token: str) -> httpx.Response:
    with server.client() as client:
        return client.post(f"/api/auth/{path}", json={"refresh": token})


def test_requests_at_once_get_the_same_pair(server: Server, alice: User) -> None:
    # On PostgreSQL they meet two processes.
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(server, "refresh", alice.refresh), range(12)))

    assert {answer.status_code for answer in answers} == {200}
    [text] = {answer.text for answer in answers}
    assert set(answers[0].json()) == {"access", "refresh"}, text
    with server.client(headers={"Authorization": f"Bearer {answers[0].json()['access']}"}) as client:
        assert client.get("/api/auth/me").status_code == 200
    following = post(server, "refresh", answers[0].json()["refresh"])
    assert following.status_code == 200
    assert following.json() != answers[0].json()


def test_signing_out_ends_the_successor_and_its_repetition(server: Server, alice: User) -> None:
    successor = post(server, "refresh", alice.refresh).json()["refresh"]

    assert post(server, "logout", successor).status_code == 204

    for token in (alice.refresh, successor):
        refused = post(server, "refresh", token)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")


def test_signing_out_with_a_used_token_ends_the_successor(sqlite_server: Server) -> None:
    alice = sqlite_server.user()
    successor = post(sqlite_server, "refresh", alice.refresh).json()["refresh"]

    assert post(sqlite_server, "logout", alice.refresh).status_code == 204

    assert post(sqlite_server, "refresh", successor).status_code == 401


def test_a_new_password_ends_the_repetition_and_begins_a_new_family(sqlite_server: Server) -> None:
    alice = sqlite_server.user()
    successor = post(sqlite_server, "refresh", alice.refresh).json()["refresh"]
    post(sqlite_server, "logout", successor)

    changed = alice.post(
        "/api/auth/password", json={"current": alice.password, "new": "another-good-password"}
    )

    assert post(sqlite_server, "refresh", alice.refresh).status_code == 401
    assert post(sqlite_server, "refresh", changed.json()["refresh"]).status_code == 200


# --- in this process, where the time of a use can be changed -----------------------------------------------


@pytest.fixture
def someone(db: None) -> Account:
    return Account.objects.create_user("someone", password="a password")


@pytest.fixture
def refresh(someone: Account) -> str:
    return tokens.pair(someone)["refresh"]


@pytest.fixture
def pass_by() -> Callable[[timedelta], None]:
    """Let time pass, as far as uses of tokens go."""

    def passed(time: timedelta) -> None:
        for used in BlacklistedToken.objects.all():
            earlier: datetime = used.blacklisted_at - time
            BlacklistedToken.objects.filter(pk=used.pk).update(blacklisted_at=earlier)

    return passed


def is_refused(refresh: str) -> bool:
    try:
        rotation.rotated(refresh)
    except tokens.TokenError:
        return True
    return False


def test_the_same_use_gives_the_same_pair_also_when_the_successor_was_used(refresh: str) -> None:
    first = rotation.rotated(refresh)
    rotation.rotated(first["refresh"])

    assert rotation.rotated(refresh) == first


def test_a_late_second_use_ends_the_whole_family(
    refresh: str, pass_by: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    second = rotation.rotated(refresh)["refresh"]
    third = rotation.rotated(second)["refresh"]
    pass_by(LATER)

    with caplog.at_level(logging.WARNING):
        assert is_refused(refresh)

    assert is_refused(second)
    assert is_refused(third)
    assert [record.name for record in caplog.records] == ["accounts.rotation"]
    assert not any(text in caplog.text for text in (refresh, second, third))


def test_a_family_ends_alone(someone: Account, refresh: str, pass_by: Callable[[timedelta], None]) -> None:
    elsewhere = tokens.pair(someone)["refresh"]
    rotation.rotated(refresh)
    pass_by(LATER)

    assert is_refused(refresh)

    assert not is_refused(elsewhere)


def test_an_unused_token_is_good_for_long(refresh: str, pass_by: Callable[[timedelta], None]) -> None:
    second = rotation.rotated(refresh)["refresh"]
    pass_by(timedelta(days=13))

    assert not is_refused(second)


def test_a_successor_lives_from_the_first_use(refresh: str, pass_by: Callable[[timedelta], None]) -> None:
    rotation.rotated(refresh)
    pass_by(timedelta(seconds=20))
    used_at = BlacklistedToken.objects.get().blacklisted_at

    again = rotation.rotated(refresh)

    for name, days, minutes in (("refresh", 14, 0), ("access", 0, 15)):
        claims = jwt.decode(again[name], options={"verify_signature": False})
        assert claims["iat"] == int(used_at.timestamp())
        assert claims["exp"] - claims["iat"] == days * 86400 + minutes * 60


def test_a_token_of_before_families_keeps_its_end(someone: Account) -> None:
    token = tokens.RefreshToken.for_user(someone)
    del token[tokens.SIGN_IN_CLAIM]
    used = OutstandingToken.objects.create(
        jti=token["jti"], token="", created_at=timezone.now(), expires_at=timezone.now() + timedelta(days=1)
    )
    BlacklistedToken.objects.create(token=used)
    BlacklistedToken.objects.update(blacklisted_at=timezone.now() - LATER)

    assert is_refused(str(token))


def test_no_token_is_stored(refresh: str) -> None:
    successor = rotation.rotated(refresh)["refresh"]
    rotation.end(successor)

    rows = OutstandingToken.objects.all()
    assert [row.token for row in rows] == ["", ""]
    claims = jwt.decode(successor, options={"verify_signature": False})
    assert claims["jti"] not in {row.jti for row in rows}


def test_an_end_is_forgotten_only_after_the_last_token_of_the_family(refresh: str) -> None:
    rotation.end(rotation.rotated(refresh)["refresh"])
    assert tokens.purge_expired() == 0

    [end] = OutstandingToken.objects.filter(jti__startswith="family:")
    assert end.expires_at > timezone.now() + timedelta(days=13, hours=23)

    OutstandingToken.objects.update(expires_at=timezone.now())
    assert tokens.purge_expired() > 0
    assert not OutstandingToken.objects.exists()


def test_an_expired_token_is_refused_and_ends_nothing(someone: Account) -> None:
    token = tokens.RefreshToken.for_user(someone)
    token.set_exp(lifetime=-timedelta(seconds=1))

    assert is_refused(str(token))
    rotation.end(str(token))

    assert not OutstandingToken.objects.exists()
