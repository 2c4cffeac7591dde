from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import InvalidCacheBackendError, caches
from django.db import connection, transaction
from django.utils import timezone

from accounts.counters import DatabaseCounterCache, LimitsCache, purge_expired
from accounts.models import RateCounter

pytestmark = pytest.mark.django_db


@pytest.fixture
def counters() -> DatabaseCounterCache:
    return DatabaseCounterCache("", {})


def expire(counters: DatabaseCounterCache) -> None:
    RateCounter.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_the_settings_count_with_it() -> None:
    try:
        assert isinstance(caches["limits"], LimitsCache)
    except InvalidCacheBackendError:
        pytest.fail("there is no cache for the limits")


def test_a_counter_is_added_once_and_then_counts(counters: DatabaseCounterCache) -> None:
    assert counters.add("a", 1, 60)
    assert not counters.add("a", 1, 60)
    assert [counters.incr("a"), counters.incr("a", 5), counters.decr("a")] == [2, 7, 6]
    assert counters.get("a") == 6
    assert counters.get("b", "none") == "none"


def test_an_expired_counter_is_not_there(counters: DatabaseCounterCache) -> None:
    counters.add("a", 7, 60)
    expire(counters)

    assert counters.get("a") is None
    assert "a" not in counters
    assert not counters.touch("a", 60)
    with pytest.raises(ValueError, match="no counter"):
        counters.incr("a")
    assert counters.add("a", 1, 60)
    assert counters.get("a") == 1


def test_the_rest_of_a_cache(counters: DatabaseCounterCache) -> None:
    counters.set("a", 3)
    counters.set("a", 4, timeout=None)
    counters.set("over", 1, timeout=0)

    assert counters.get_many(["a", "over"]) == {"a": 4}
    assert counters.touch("a", 60)
    assert counters.delete("a")
    assert not counters.delete("a")
    counters.add("b", 1)
    counters.clear()
    assert counters.get("b") is None


@pytest.mark.parametrize("value", ["1", 1.5, True, None])
def test_only_whole_numbers_are_held(counters: DatabaseCounterCache, value: object) -> None:
    with pytest.raises(TypeError):
        counters.set("a", value)  # type: ignore[arg-type]


def test_expired_counters_are_purged(counters: DatabaseCounterCache) -> None:
    counters.add("old", 1, 60)
    expire(counters)
    counters.add("new", 1, 60)

    assert purge_expired() == 1
    assert counters.get("new") == 1


def test_a_database_that_cannot_return_rows_counts_too(
    counters: DatabaseCounterCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    counters.add("a", 1, 60)

    assert counters.incr("a", 2) == 3
    with pytest.raises(ValueError, match="no counter"):
        counters.incr("b")


def test_what_is_noted_counts_when_it_is_run() -> None:
    limits = LimitsCache("", {})
    with limits.noting() as noted:
        counted(limits)

    assert not RateCounter.objects.exists()
    ((statement, values),) = noted
    assert [statement.rows(*values), statement.rows(*values)] == [[(1,)], [(2,)]]
    assert counted(limits) == 3


@pytest.mark.django_db(transaction=True)
def test_threads_are_counted_exactly(counters: DatabaseCounterCache) -> None:
    def count(_: int) -> int:
        try:
            return 1 if counters.add("contested", 1, 60) else counters.incr("contested")
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        counts = Counter(pool.map(count, range(400)))

    assert counts == Counter(range(1, 401))


# --- what django-ratelimit counts with -----------------------------------------------------------------


def counted(limits: LimitsCache, key: str = "a", timeout: float = 60) -> int:
    """Count as django-ratelimit does."""
    return 1 if limits.add(key, 1, timeout) else limits.incr(key)


@pytest.fixture(params=["one statement", "two statements"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LimitsCache:
    if request.param == "two statements":
        monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    return LimitsCache("", {})


def test_a_limit_counts_from_one(limits: LimitsCache) -> None:
    assert [counted(limits), counted(limits), counted(limits, "b"), counted(limits)] == [1, 2, 1, 3]
    assert limits.incr("a", 5) == 8


def test_a_limit_whose_time_is_over_begins_anew(limits: LimitsCache) -> None:
    assert [counted(limits), counted(limits)] == [1, 2]
    expire(limits)
    assert [counted(limits), counted(limits)] == [1, 2]
    assert RateCounter.objects.get().expires_at > timezone.now() + timedelta(seconds=50)


def test_a_limit_does_not_grow_older_by_counting(limits: LimitsCache) -> None:
    counted(limits, timeout=60)
    counted(limits, timeout=600)
    assert RateCounter.objects.get().expires_at < timezone.now() + timedelta(seconds=61)


def test_a_limit_that_was_forgotten_meanwhile_begins_anew(limits: LimitsCache) -> None:
    assert [counted(limits), counted(limits)] == [1, 2]
    limits.clear()
    assert counted(limits) == 1
    with transaction.atomic():
        assert counted(limits) == 2
        transaction.set_rollback(True)
    assert counted(limits) == 2


def test_what_was_noted_for_one_counter_makes_no_other(limits: LimitsCache) -> None:
    limits.add("a", 1, 60)
    with pytest.raises(ValueError, match="no counter"):
        limits.incr("b")
    with pytest.raises(ValueError, match="no counter"):
        limits.incr("a")


def test_a_limit_is_counted_in_one_statement(django_assert_num_queries: Any) -> None:
    limits = LimitsCache("", {})
    for _ in range(2):
        with django_assert_num_queries(1):
            counted(limits)


@pytest.mark.django_db(transaction=True)
def test_threads_are_limited_exactly() -> None:
    limits = LimitsCache("", {})  # Django may hand out one to several threads

    def count(_: int) -> int:
        try:
            return counted(limits)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        counts = Counter(pool.map(count, range(400)))

    assert counts == Counter(range(1, 401))
