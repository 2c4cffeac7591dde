"""Counters that are exact whichever thread or process counts, kept in the database.

Everything that counts is one statement, in which an expired row counts as absent, so
nobody is counted twice or not at all. With `REDIS_URL` set, Redis counts instead.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import RateCounter
from chatproject.prepared import Sql

NEVER = datetime(9999, 12, 31, tzinfo=UTC)

TABLE, KEY = f'"{RateCounter._meta.db_table}"', '"key"'

COUNT = Sql(
    lambda name, first, end, delta, now: (
        f"INSERT INTO {TABLE} ({KEY}, count, expires_at) VALUES (%s, %s, %s)"  # noqa: S608 (names of ours)
        f" ON CONFLICT ({KEY}) DO UPDATE SET"
        f" count = CASE WHEN {TABLE}.expires_at > %s THEN {TABLE}.count + %s ELSE excluded.count END,"
        f" expires_at = CASE WHEN {TABLE}.expires_at > %s THEN {TABLE}.expires_at"
        " ELSE excluded.expires_at END RETURNING count",
        [name, first, end, now, delta, now],
    )
)


class DatabaseCounterCache(BaseCache):
    """A cache of whole numbers, in one table."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: int, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._put(key, value, timeout, version, only_if_absent=True)

    def set(self, key: str, value: int, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._put(key, value, timeout, version)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        count = self._live(key, version).values_list("count", flat=True).first()
        return default if count is None else count

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        if not connection.features.can_return_rows_from_bulk_insert:
            # SQLite before 3.35 cannot return what it wrote; the transaction keeps others out.
            with transaction.atomic():
                self._live(key, version).update(count=F("count") + delta)
                count = self.get(key, version=version)
        else:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {TABLE} SET count = count + %s"  # noqa: S608 (a name of ours)
                    f" WHERE {KEY} = %s AND expires_at > %s RETURNING count",
                    [delta, self._name(key, version), _time(timezone.now())],
                )
                row = cursor.fetchone()
            count = row[0] if row else None
        if count is None:
            raise ValueError(f"no counter {key!r}")
        return int(count)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._live(key, version).update(expires_at=self._end(timeout)))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(RateCounter.objects.filter(key=self._name(key, version)).delete()[0])

    def clear(self) -> None:
        RateCounter.objects.all().delete()

    def _put(
        self, key: str, value: int, timeout: Any, version: int | None, *, only_if_absent: bool = False
    ) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("this cache holds whole numbers only")
        name, end = self._name(key, version), self._end(timeout)
        return self._insert(name, value, end, only_if_absent=only_if_absent)

    def _insert(self, name: str, value: int, end: datetime, *, only_if_absent: bool) -> bool:
        sql = (
            f"INSERT INTO {TABLE} ({KEY}, count, expires_at) VALUES (%s, %s, %s)"  # noqa: S608
            f" ON CONFLICT ({KEY}) DO UPDATE SET count = excluded.count, expires_at = excluded.expires_at"
        )
        params = [name, value, _time(end)]
        if only_if_absent:
            sql += f" WHERE {TABLE}.expires_at <= %s"
            params.append(_time(timezone.now()))
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.rowcount == 1

    def _live(self, key: str, version: int | None) -> Any:
        return RateCounter.objects.filter(key=self._name(key, version), expires_at__gt=timezone.now())

    def _name(self, key: str, version: int | None) -> str:
        # Not validated: that only warns of what memcached could not take, character by character.
        return str(self.make_key(key, version=version))

    def _end(self, timeout: Any) -> datetime:
        # The base class knows what the default is, that None is for ever and 0 is already over.
        seconds = self.get_backend_timeout(timeout)
        return NEVER if seconds is None else datetime.fromtimestamp(seconds, UTC)


class LimitsCache(DatabaseCounterCache):
    """The same for django-ratelimit, which calls `add`, and where that says no, `incr`: in one statement.

    So `add` always says no, and only notes what the counter is to begin with. Where the statement is to be
    run together with others, it is only noted as well.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(location, params)
        self._noted = threading.local()

    @property
    def can_note(self) -> bool:
        return connection.features.can_return_rows_from_bulk_insert

    @contextmanager
    def noting(self) -> Iterator[list[tuple[Sql, tuple[Any, ...]]]]:
        """Count nothing meanwhile: gather the statements that would have counted, with their values."""
        statements: list[tuple[Sql, tuple[Any, ...]]] = []
        self._noted.statements = statements
        try:
            yield statements
        finally:
            del self._noted.statements

    def add(self, key: str, value: int, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self._noted.counter = self._name(key, version), value, self._end(timeout)
        return False

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        name, value, end = self._noted.__dict__.pop("counter", ("", 0, NEVER))
        if name != self._name(key, version):
            return super().incr(key, delta, version)
        values = name, value, end, delta, timezone.now()
        if (noted := self._noted.__dict__.get("statements")) is not None:
            noted.append((COUNT, values))
            return 0
        if not self.can_note:
            added = self._insert(name, value, end, only_if_absent=True)
            return value if added else super().incr(key, delta, version)
        return int(COUNT.rows(*values)[0][0])


def purge_expired() -> int:
    """Delete the counters whose time is over, and return how many there were."""
    return RateCounter.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _time(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
