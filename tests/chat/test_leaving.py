"""The way down: no answer that begins late, or cannot be saved, leaves its reader without an end."""

import asyncio
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from chat import endings, runtime, services, streams
from chat.answers import INTERRUPTED, Opening, RunningAnswer
from providers.base import ChatMessage, ChatRequest
from providers.registry import PROVIDERS, ProviderAccess


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "draining", False)
    monkeypatch.setattr(streams, "leaving", False)


@pytest.fixture
def database_back() -> Iterator[threading.Event]:
    back = threading.Event()
    yield back
    back.set()


def turn() -> services.Turn:
    opening = Opening(uuid4(), uuid4(), uuid4(), "t")
    request = ChatRequest("demo", (ChatMessage("user", "Hi"),))
    return services.Turn(opening, request, ProviderAccess(PROVIDERS["demo"], "", ""))


async def test_an_answer_that_begins_after_the_grace_is_interrupted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored: list[endings.Ended] = []
    monkeypatch.setattr(endings, "close_turn", lambda end: not stored.append(end))  # type: ignore[func-returns-value]
    await runtime.drain(grace=0)

    answer = runtime.begin(turn())
    await asyncio.wait_for(answer.ended.wait(), 30)

    assert answer.outcome == INTERRUPTED
    assert [end.outcome for end in stored] == [INTERRUPTED]


async def test_readers_hear_of_the_end_though_the_database_hangs(
    monkeypatch: pytest.MonkeyPatch, database_back: threading.Event
) -> None:
    monkeypatch.setattr(endings, "close_turn", lambda end: database_back.wait(60))
    answer = runtime.begin(turn())
    reading = asyncio.ensure_future(read(answer))

    await asyncio.wait_for(runtime.drain(grace=0), 30)
    last = await asyncio.wait_for(reading, 30)

    assert last == b"the end: interrupted"
    database_back.set()
    assert answer._task is not None
    await asyncio.wait_for(answer._task, 30)


async def read(answer: RunningAnswer) -> bytes:
    last = b""
    async for batch in answer.follow(answer.start, lambda _, told, __: b"the end: " + told.status.encode()):
        last = batch
    return last
