import asyncio
import threading
from typing import Any

import pytest
from django.test import RequestFactory

from accounts import hashing


@pytest.fixture(autouse=True)
def _turns_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_turns", asyncio.Semaphore(1))
    monkeypatch.setattr(hashing, "MOST_WAITING", 1)


async def test_who_would_wait_too_long_is_told_so_at_once() -> None:
    go_on = threading.Event()
    first = asyncio.ensure_future(hashing.with_hashing(go_on.wait, 5))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(hashing.with_hashing(str, "done"))
    await asyncio.sleep(0)

    with pytest.raises(hashing.Busy) as refused:
        await hashing.with_hashing(str, "refused")

    assert refused.value.wait == hashing.RETRY_SECONDS
    go_on.set()
    assert (await first, await second) == (True, "done")
    assert await hashing.with_hashing(str, "let in again") == "let in again"


async def test_hanging_up_ends_the_waiting_but_not_the_turn() -> None:
    begun, go_on, after = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(5)

    first = asyncio.ensure_future(hashing.with_hashing(work))
    assert await asyncio.to_thread(begun.wait, 5)
    first.cancel()
    second = asyncio.ensure_future(hashing.with_hashing(after.set))
    await asyncio.sleep(0.05)

    assert first.cancelled()
    assert not after.is_set()
    go_on.set()
    await second
    assert after.is_set()
    assert hashing._waiting == 0


async def test_a_page_tells_that_it_is_busy(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}  # nothing has been collected
    monkeypatch.setattr(hashing, "MOST_WAITING", 0)
    page = hashing.hashing_page(lambda request: pytest.fail("must not be called"))

    response = await page(RequestFactory().post("/accounts/login"))

    assert response.status_code == 503
    assert response["Retry-After"] == str(hashing.RETRY_SECONDS)
