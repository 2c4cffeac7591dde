"""Django's PostgreSQL, whose pool need not ask the server before every unit of work.

That a connection was closed can be seen on this side: there is something to read on it, be
it only its end. The server is asked where that is so, and where a connection was not used for
a while: something between the two may have forgotten it without a word.
"""

import select
import time
from collections.abc import Sequence
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Error
from psycopg.errors import FeatureNotSupported, InvalidSqlStatementName
from psycopg_pool import ConnectionPool, PoolTimeout

from .kept import Kept

# How long a connection on which there is nothing to read is taken for a working one.
TRUSTED_SECONDS = 1
# How long a connection is waited for once it has been waited for in vain.
AWAY_SECONDS = 0.5


class DatabaseWrapper(base.DatabaseWrapper):
    # Whether the next transaction may begin together with its first statement.
    begins_late = False
    # Whether one has begun of which the server has yet to hear.
    _begins = False

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        while True:
            connection = self._taken(conn_params)
            if self.pool is None or _works(connection):
                return connection
            connection.close()
            self.pool.putconn(connection)  # which makes another in its place

    def _taken(self, conn_params: dict[str, Any]) -> Any:
        """Connect, or take a connection of the pool; while there is none to be had, nobody waits for long.

        Otherwise each thread would be held up for as long again by each of those who come to it.
        """
        pool = self.pool
        try:
            connection = super().get_new_connection(conn_params)
        except PoolTimeout:
            pool.timeout = AWAY_SECONDS
            raise
        if pool is not None and pool.timeout == AWAY_SECONDS:
            pool.timeout = self.settings_dict["OPTIONS"]["pool"]["timeout"]
        return connection

    def _set_autocommit(self, autocommit: bool) -> None:
        # A connection from the pool has it already, and to tell it again is not free.
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # not in the stubs

    def _start_transaction_under_autocommit(self) -> None:
        # What Django calls, where it is there, for the outermost `atomic`. The driver sends BEGIN as a
        # question of its own before the first statement.
        if self.begins_late:
            self._begins = True
        else:
            self._set_autocommit(False)

    def create_cursor(self, name: str | None = None) -> Any:
        if self._begins:
            self._begins = False
            super().create_cursor().execute("BEGIN")
        return super().create_cursor(name)

    def called(self, kept: Sequence[Kept], params: Sequence[Any], *, commits: bool = False) -> Any:
        """Call statements on a cursor of the driver's own, which is returned, and BEGIN where that is due.

        With `commits`, also COMMIT, if this is in one `atomic` and not in one within another. The cursor is
        always the same, so it is to be read before the next call.
        """
        begins, self._begins = self._begins, False
        self._see_to_it_that_there_are(kept)
        calls = ["BEGIN"] * begins + [one.call for one in kept]
        if commits and len(self.atomic_blocks) == 1:
            calls.append("COMMIT")
        cursor = self._caller()
        try:
            cursor.execute("; ".join(calls), params)
        except (FeatureNotSupported, InvalidSqlStatementName):
            # A table has changed since a statement was planned. Where nothing was done before it, it is
            # asked once more; in any case the next one is to find them planned anew.
            self.connection.__dict__["kept"] = None
            if self.in_atomic_block and not begins:
                raise
            if begins:
                self.connection.rollback()
            self._see_to_it_that_there_are(kept)
            cursor.execute("; ".join(calls), params)
        if begins:
            cursor.nextset()
        return cursor

    def _caller(self) -> Any:
        # To make one costs a third of what calling a short statement with it does.
        if (cursor := self.connection.__dict__.get("caller")) is None:
            cursor = self.connection.__dict__["caller"] = super().create_cursor()
        return cursor

    def _see_to_it_that_there_are(self, kept: Sequence[Kept]) -> None:
        known: set[str] | None = self.connection.__dict__.get("kept")
        if known is None:
            super().create_cursor().execute("DEALLOCATE ALL")
            known = self.connection.__dict__["kept"] = set()
        for one in kept:
            if one.call not in known:
                super().create_cursor().execute(one.definition)
                known.add(one.call)

    def _commit(self) -> None:
        self._begins = False
        super()._commit()  # type: ignore[misc]  # not in the stubs

    def _rollback(self) -> None:
        self._begins = False
        super()._rollback()  # type: ignore[misc]  # not in the stubs

    def _close(self) -> None:
        self._begins = False
        if self.connection is not None:
            self.connection.used_at = time.monotonic()
        super()._close()  # type: ignore[misc]  # not in the stubs


def _works(connection: Connection[Any]) -> bool:
    unused = time.monotonic() - getattr(connection, "used_at", float("-inf"))
    if unused < TRUSTED_SECONDS and not _has_something_to_read(connection):
        return True
    try:
        ConnectionPool.check_connection(connection)
    except Error:
        return False
    return True


def _has_something_to_read(connection: Connection[Any]) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
