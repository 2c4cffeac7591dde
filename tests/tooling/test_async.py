"""How `async def` tests run, and where their database work happens."""

import threading

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import strategies as st

from chatproject.db import in_db

User = get_user_model()
seen: list[int] = []


@given(st.integers())
async def test_async_properties_are_awaited(number):
    seen.append(number)


def test_they_were(request):
    assert len(seen) > 10


@pytest.mark.django_db
@pytest.mark.parametrize("turn", [1, 2])
async def test_in_db_works_in_the_transaction_that_is_rolled_back(turn):
    await User.objects.acreate(username="the-same-name-twice")

    def look():
        return User.objects.count(), threading.current_thread() is threading.main_thread()

    assert await in_db(look) == (1, True)


@pytest.mark.django_db(transaction=True)
async def test_with_real_transactions_in_db_has_its_threads():
    def make():
        User.objects.create(username="committed")
        return threading.current_thread().name

    name = await in_db(make)

    assert name.startswith("unit")
    assert await User.objects.acount() == 1
