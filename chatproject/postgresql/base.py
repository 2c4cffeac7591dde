"""Django's PostgreSQL, whose pool need not ask the server before every unit of work.

That a connection was closed can be seen on this side: there is something to read on it, be
it only its end. The server is asked where that is so, and where a connection was not used for
a while: something between the two may have forgotten it without a word.
"""

import select
import time
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Error
from psycopg_pool import ConnectionPool

# How long a connection on which there is nothing to read is taken for a working one.
TRUSTED_SECONDS = 1


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        while True:
            connection = super().get_new_connection(conn_params)
            if self.pool is None or _works(connection):
                return connection
            connection.close()
            self.pool.putconn(connection)  # which makes another in its place

    def _set_autocommit(self, autocommit: bool) -> None:
        # A connection from the pool has it already, and to tell it again is not free.
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # not in the stubs

    def _close(self) -> None:
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
