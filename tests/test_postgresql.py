"""Which connections of the pool a unit of work is given, and what it says on them."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError, NotSupportedError, connection, transaction
from psycopg_pool import ConnectionPool

from accounts.models import RateCounter, User
from chat.models import ChatSession
from chatproject.postgresql import base
from chatproject.prepared import Both, Insert, Select, Sql, Together, Update, atomic

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


def keep(statement: Any) -> None:
    """Have a statement compiled, and kept by the server for this connection."""
    kept = statement.finished(connection).kept
    connection.ensure_connection()
    connection._see_to_it_that_there_are(kept)  # type: ignore[attr-defined]  # ours


# --- transactions

ALL = Select(lambda name: User.objects.filter(username=name))
ADD = Insert(lambda name, now: [User(username=name, username_key=name, date_joined=now)])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOVE = Update(lambda old, new: (User.objects.filter(username=old), {"username": new}))
MOVE_BOTH = Both(MOVE, MOVE)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Django's connection sends, by the first word of each statement."""
    said: list[str] = []
    execute, command = psycopg.Cursor.execute, psycopg.BaseConnection._exec_command

    def listening(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if cursor.connection is connection.connection:
            said.append("; ".join(part.split()[0] for part in str(query).split("; ")))
        return execute(cursor, query, *args, **kwargs)

    def listening_to_commands(asked: Any, query: bytes, *args: Any, **kwargs: Any) -> Any:
        if asked is connection.connection:
            said.append(query.decode())
        return command(asked, query, *args, **kwargs)

    for statement in (ADD, MOVE_BOTH):
        keep(statement)
    for kind in (psycopg.Cursor, psycopg.ClientCursor):
        monkeypatch.setattr(kind, "execute", listening)
    monkeypatch.setattr(psycopg.BaseConnection, "_exec_command", listening_to_commands)
    yield said


def names() -> set[str]:
    """Return who is there in the eyes of somebody else."""
    params = {**connection.get_connection_params(), "autocommit": True}
    params.pop("cursor_factory")
    with psycopg.connect(**params) as other:
        return {row[0] for row in other.execute("SELECT username FROM accounts_user")}


def test_a_transaction_begins_and_ends_together_with_what_is_in_it(said):
    with atomic():
        ADD.run("alice", NOW)
        ADD.run("bob", NOW)
        assert names() == set()
        assert MOVE_BOTH.run(("alice", "anna"), ("bob", "ben"), commits=True) == 1
        assert names() == {"anna", "ben"}
    assert said == ["BEGIN; EXECUTE", "EXECUTE", "EXECUTE; COMMIT"]
    assert names() == {"anna", "ben"}
    assert [user.username for user in ALL.objects("anna")] == ["anna"]


def test_the_orm_begins_as_ever(said):
    with atomic():
        User.objects.update(email="a@b")
    assert said == ["BEGIN", "UPDATE", "COMMIT"]


def test_a_cursor_from_before_a_transaction_belongs_to_it():
    with connection.cursor() as cursor, pytest.raises(ZeroDivisionError), transaction.atomic():
        cursor.execute("INSERT INTO accounts_ratecounter (key, count, expires_at) VALUES ('k', 1, now())")
        raise ZeroDivisionError
    assert not RateCounter.objects.exists()


def test_a_transaction_in_which_nothing_is_asked_says_nothing(said):
    with atomic():
        pass
    ADD.run("alice", NOW)
    assert said == ["EXECUTE"]
    assert names() == {"alice"}


def test_what_goes_wrong_leaves_nothing():
    for first in (lambda: ADD.run("alice", NOW), lambda: User.objects.create(username="alice")):
        with pytest.raises(ZeroDivisionError), atomic():
            first()
            raise ZeroDivisionError
        assert names() == set()


def test_an_error_of_the_first_statement_ends_the_transaction_only():
    ADD.run("alice", NOW)
    with pytest.raises(IntegrityError), atomic():
        ADD.run("alice", NOW)
    ADD.run("bob", NOW)
    assert names() == {"alice", "bob"}


def test_an_error_of_the_last_statement_commits_nothing():
    ADD.run("alice", NOW)
    ADD.run("bob", NOW)
    with pytest.raises(IntegrityError), atomic():
        ADD.run("carl", NOW)
        MOVE_BOTH.run(("x", "y"), ("alice", "bob"), commits=True)
    assert names() == {"alice", "bob"}


def test_what_is_only_refused_at_the_end_is_heard():
    """A foreign key is checked when the transaction is committed."""
    add = Insert(
        lambda key, user, now: [
            ChatSession(
                id=key,
                user_id=user,
                title="t",
                created_at=now,
                updated_at=now,
            )
        ]
    )
    with pytest.raises(IntegrityError), atomic():
        Both(MOVE, add).run(("a", "b"), (uuid4(), 1 << 30, NOW), commits=True)
    assert not ChatSession.objects.exists()


def test_a_transaction_within_another_does_not_end_that(said):
    with pytest.raises(ZeroDivisionError), atomic():
        with transaction.atomic():
            ADD.run("alice", NOW)
            MOVE_BOTH.run(("x", "y"), ("alice", "anna"), commits=True)
        raise ZeroDivisionError
    assert said == ["BEGIN", "SAVEPOINT", "EXECUTE", "EXECUTE", "RELEASE", "ROLLBACK"]
    assert names() == set()


def test_a_connection_lost_before_the_first_statement_leaves_no_transaction_behind():
    with pytest.raises(ZeroDivisionError), atomic():
        connection.close()
        raise ZeroDivisionError
    ADD.run("alice", NOW)
    assert names() == {"alice"}


def test_what_is_to_happen_after_the_commit_happens_after_it():
    heard = []
    with atomic():
        transaction.on_commit(lambda: heard.append(names()))
        ADD.run("alice", NOW)
        MOVE_BOTH.run(("x", "y"), ("alice", "anna"), commits=True)
        assert not heard
    assert heard == [{"anna"}]


# --- statements that the server keeps


def test_a_statement_is_kept_once_for_each_connection(said):
    query = Select(lambda name: User.objects.filter(username=name).values_list("username"))
    ADD.run("alice", NOW)
    query.finished(connection)
    said.clear()

    assert [query.rows(name) for name in ("alice", "bob")] == [[("alice",)], []]
    assert said == ["PREPARE", "EXECUTE", "EXECUTE"]

    said.clear()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.pool.open(wait=True)  # type: ignore[attr-defined]
    assert query.rows("alice") == [("alice",)]
    assert [word for word in said if word in ("PREPARE", "EXECUTE")] == ["PREPARE", "EXECUTE"]


def test_a_kept_statement_is_still_there_after_a_transaction_that_went_wrong(said):
    query = Select(lambda name: User.objects.filter(username=name).values_list("username"))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ADD.run("alice", NOW)
        assert query.rows("alice") == [("alice",)]
        raise ZeroDivisionError
    assert query.rows("alice") == []


def test_selects_that_are_sent_together_are_kept_each_for_itself(said):
    one = Select(lambda name: User.objects.filter(username=name).values_list("username"))
    other = Select(lambda part: User.objects.filter(username__endswith="100%").values_list("username"))
    both = Together(one, other)
    ADD.run("alice", NOW)
    ADD.run("at 100%", NOW)
    for select in (one, other):
        keep(select)
    said.clear()

    assert both.found(("alice",), (1,)) == [[("alice",)], [("at 100%",)]]
    assert said == ["EXECUTE; EXECUTE"]


@pytest.fixture
def changing() -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing (word varchar(9)); INSERT INTO changing VALUES ('one')")
        yield lambda: cursor.execute("ALTER TABLE changing ALTER COLUMN word TYPE text")
        cursor.execute("DROP TABLE changing")


@pytest.mark.parametrize("within", [nullcontext, atomic, transaction.atomic])
def test_a_table_that_has_changed_since_is_seen_as_it_is(changing, within):
    words = Sql(lambda word: ("SELECT word FROM changing WHERE word = %s", [word]))
    assert words.rows("one") == [("one",)]
    changing()
    if within is transaction.atomic:
        # There may be something before it that must not be done twice.
        with pytest.raises(NotSupportedError), within():
            words.rows("one")
    with within():
        assert words.rows("one") == [("one",)]


def test_a_statement_that_somebody_has_taken_away_is_kept_anew():
    words = Sql(lambda word: ("SELECT %s::text", [word]))
    assert words.rows("one") == [("one",)]
    with connection.cursor() as cursor:
        cursor.execute("DISCARD ALL")
    assert words.rows("two") == [("two",)]
