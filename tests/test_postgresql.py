"""Which connections of the pool a unit of work is given."""

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from chatproject.postgresql import base

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the tests' own database is another one"),
]


@pytest.fixture(autouse=True)
def _one_connection() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
    connection.pool.open(wait=True)  # type: ignore[attr-defined]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes of the database server that were asked whether they are still there."""
    asked: list[int] = []
    check = ConnectionPool.check_connection

    def listening(connection: psycopg.Connection) -> None:
        asked.append(connection.info.backend_pid)
        check(connection)

    monkeypatch.setattr(ConnectionPool, "check_connection", staticmethod(listening))
    return asked


def process() -> int:
    """Use a connection for a moment, and return the server's process behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
    connection.close()
    return pid


def end(pid: int) -> None:
    params = {**connection.get_connection_params(), "autocommit": True}
    with psycopg.connect(**params) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)


def test_a_connection_that_was_just_used_is_not_asked(asked):
    first = process()
    asked.clear()
    assert process() == first
    assert not asked


def test_a_connection_that_the_server_has_just_closed_is_not_used(monkeypatch):
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 60)
    first = process()
    end(first)
    assert process() != first


def test_a_connection_that_was_not_used_for_a_while_is_asked(monkeypatch, asked):
    first = process()
    asked.clear()
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 0)
    assert process() == first
    assert asked == [first]
