"""An answer's life as a state machine: pieces, cuts, stops and faults, with readers joining anywhere.

What a reader gathers over any number of cuts must be the saved text, to the
character, and every reader must be told the end exactly once.
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import answers, streams
from chat.answers import GAP, STOPPED, Opening, Outcome, Outlet, RunningAnswer
from chat.events import START, parse_id
from providers.base import (
    ChatRequest,
    Finished,
    FinishReason,
    ReasoningDelta,
    ReasoningEnd,
    StreamPart,
    TextDelta,
    Usage,
)
from providers.errors import BrokenStream, ProviderError, ProviderUnavailable
from tests.eventstream import Event, EventReader

REQUEST = ChatRequest(model="m", messages=())


class Moves:
    """What a provider does next; every second text that is waited for is handed over at once."""

    def __init__(self) -> None:
        self.on_text: Callable[[str], None] | None = None
        self._moves: deque[StreamPart | Exception | None] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._at_once = itertools.cycle((True, False))

    def put_nowait(self, move: StreamPart | Exception | None) -> None:
        waiter, awaited = self._waiter, self._waiter is not None and not self._waiter.done()
        if self.on_text and awaited and isinstance(move, TextDelta) and next(self._at_once):
            self.on_text(move.text)
            return
        self._moves.append(move)
        if waiter is not None and awaited:
            waiter.set_result(None)

    async def get(self) -> StreamPart | Exception | None:
        while not self._moves:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._moves.popleft()

    def empty(self) -> bool:
        return not self._moves


class Puppet:
    """A provider whose next move the test decides."""

    def __init__(self) -> None:
        self.moves = Moves()
        self.closed = False

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        self.moves.on_text = request.on_text
        try:
            while (move := await self.moves.get()) is not None:
                if isinstance(move, Exception):
                    raise move
                yield move
        finally:
            self.closed = True

    async def list_models(self) -> list:
        return []


class Saved:
    def __init__(self) -> None:
        self.times = 0
        self.reasoning = self.content = ""
        self.outcome: Outcome | None = None

    async def __call__(self, answer: RunningAnswer, outcome: Outcome) -> bool:
        await asyncio.sleep(0)
        self.times += 1
        self.reasoning, self.content = answer.texts()
        self.outcome = outcome
        return True


class TwoOfThree:
    """A way past the response that is free two times of three."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self._looks = itertools.cycle((True, False, True))

    @property
    def is_free(self) -> bool:
        return next(self._looks)


class Client:
    """A reader that may lose its connection after any event and come back with the last id it saw."""

    def __init__(self, answer: RunningAnswer) -> None:
        self.answer = answer
        self.position = START
        self.reasoning = self.content = ""
        self.ends: list[Event] = []
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        self._task = asyncio.ensure_future(self._read())

    async def cut(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def finish(self) -> None:
        if not self.ends:
            await self.cut()
            self.connect()
            assert self._task is not None
            await asyncio.wait_for(self._task, 5)

    async def _read(self) -> None:
        reader = EventReader()

        def take(batch: bytes) -> None:
            for event in reader.feed(batch):
                self._take(event)

        outlet = Outlet()
        outlet.way = TwoOfThree(take)
        async with aclosing(streams.follow(self.answer, self.position, outlet)) as batches:
            async for batch in batches:
                take(batch)

    def _take(self, event: Event) -> None:
        assert not self.ends, "nothing comes after the end"
        parsed = parse_id(event.id)
        assert parsed is not None
        if event.data.get("reset"):
            self.reasoning = self.content = ""
        if event.name == "reasoning":
            self.reasoning += event.data["content"]
        elif event.name == "message":
            self.content += event.data["content"]
        elif event.name in {"done", "error"}:
            self.ends.append(event)
        self.position = parsed.position
        assert self.position[:2] == (len(self.reasoning), len(self.content))


text = st.text(
    min_size=1, max_size=6, alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("text"), text),
        st.tuples(st.just("reasoning"), text),
        st.tuples(st.just("usage"), st.integers(0, 9)),
        st.tuples(st.just("was reasoning"), st.none()),
        st.tuples(st.just("rest"), st.integers(0, 3)),
        st.tuples(st.just("join"), st.none()),
        st.tuples(st.just("cut"), st.integers(0, 9)),
        st.tuples(st.just("back"), st.integers(0, 9)),
        st.tuples(st.just("stop"), st.none()),
    ),
    max_size=40,
)
ends = st.sampled_from(["finished", "silent", "broken", "refused", "bug", "stop"])


def opened(reasoning: str = "", content: str = "") -> RunningAnswer:
    return RunningAnswer(Opening(uuid4(), uuid4(), uuid4(), "t"), reasoning=reasoning, content=content)


@pytest.mark.parametrize("before", [("", ""), ("thought ", "had 已 ")])
@settings(max_examples=150, deadline=None)
@given(moves=moves, end=ends)
async def test_every_reader_ends_with_the_saved_text(before, moves, end) -> None:
    answer, puppet, saved = opened(*before), Puppet(), Saved()
    answer.begin(lambda: puppet, REQUEST, save=saved, seconds=60)
    clients = [Client(answer)]
    clients[0].connect()
    grown = {"reasoning": before[0], "text": before[1]}
    stopped = False
    for move, value in moves:
        if move in grown:
            puppet.moves.put_nowait(TextDelta(value) if move == "text" else ReasoningDelta(value))
            if not stopped:
                grown[move] += value
        elif move == "was reasoning":
            puppet.moves.put_nowait(ReasoningEnd())
            if not stopped:
                thought = grown["text"][len(before[1]) :].strip()
                gap = GAP if grown["reasoning"] and thought else ""
                grown = {"reasoning": f"{grown['reasoning']}{gap}{thought}", "text": before[1]}
        elif move == "usage":
            puppet.moves.put_nowait(Usage(value, value))
        elif move == "rest":
            for _ in range(value):
                await asyncio.sleep(0)
        elif move == "join":
            clients.append(Client(answer))
            clients[-1].connect()
        elif move == "cut":
            await clients[value % len(clients)].cut()
        elif move == "back" and not clients[value % len(clients)].ends:
            await clients[value % len(clients)].cut()
            clients[value % len(clients)].connect()
        elif move == "stop":
            await settle(puppet)
            answer.stop(STOPPED)
            stopped = True

    await settle(puppet)
    expected = finish(answer, puppet, "stop" if stopped else end)
    for client in clients:
        await client.finish()

    assert saved.times == 1
    assert saved.outcome is not None
    assert saved.outcome.status == expected
    assert (saved.reasoning, saved.content) == (grown["reasoning"], grown["text"])
    assert puppet.closed or stopped
    assert answer.id not in answers.running
    for client in clients:
        assert (client.reasoning, client.content) == (saved.reasoning, saved.content)
        assert [event.name for event in client.ends] == [
            "done" if expected in {"complete", "stopped"} else "error"
        ]


async def settle(puppet: Puppet) -> None:
    """Let the answer take all that the provider has sent."""
    for _ in range(500):
        if puppet.moves.empty() or puppet.closed:
            break
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)


def finish(answer: RunningAnswer, puppet: Puppet, end: str) -> str:
    """Bring the answer to an end, and return the status that it should have."""
    faults = {"broken": BrokenStream(), "refused": ProviderUnavailable(), "bug": RuntimeError("a bug")}
    if end == "stop":
        answer.stop(STOPPED)
        return "stopped"
    if end in faults:
        puppet.moves.put_nowait(faults[end])
        return "failed"
    if end == "finished":
        puppet.moves.put_nowait(Finished(FinishReason.STOP))
    puppet.moves.put_nowait(None)
    return "complete"


async def test_a_reader_gets_what_waits_in_one_batch() -> None:
    answer, puppet = opened(), Puppet()
    answer.begin(lambda: puppet, REQUEST, save=Saved(), seconds=60)
    batches = streams.follow(answer, START)
    await anext(batches)
    for word in ("a", "b", "c"):
        puppet.moves.put_nowait(TextDelta(word))
    await settle(puppet)

    batch = await anext(batches)

    assert batch.count(b"event: message") == 1
    assert json.loads(batch.split(b"data: ")[1])["content"] == "abc"
    await batches.aclose()
    answer.stop(STOPPED)
    await answer.ended.wait()


async def test_a_stop_before_the_task_has_begun_still_ends_the_answer() -> None:
    answer, puppet, saved = opened(), Puppet(), Saved()
    answer.begin(lambda: puppet, REQUEST, save=saved, seconds=60)

    answer.stop(STOPPED)
    await asyncio.wait_for(answer.ended.wait(), 5)

    assert saved.outcome == STOPPED


async def test_an_answer_that_takes_too_long_is_ended() -> None:
    answer, puppet, saved = opened(), Puppet(), Saved()
    answer.begin(lambda: puppet, REQUEST, save=saved, seconds=0.05)
    puppet.moves.put_nowait(TextDelta("kept"))

    await asyncio.wait_for(answer.ended.wait(), 5)

    assert saved.content == "kept"
    assert saved.outcome is not None
    assert saved.outcome.error_code == "provider_timeout"
    assert puppet.closed


async def test_an_adapter_that_cannot_be_made_ends_the_answer() -> None:
    def broken() -> Puppet:
        raise ProviderError("no such thing")

    answer, saved = opened(), Saved()
    answer.begin(broken, REQUEST, save=saved, seconds=60)

    await asyncio.wait_for(answer.ended.wait(), 5)

    assert saved.outcome is not None
    assert (saved.outcome.status, saved.outcome.error_code) == ("failed", "provider_error")


async def test_a_save_that_fails_for_good_is_told_to_the_readers(caplog) -> None:
    async def no_save(answer: RunningAnswer, outcome: Outcome) -> bool:
        raise OSError("the database is gone")

    answer, puppet = opened(), Puppet()
    answer.begin(lambda: puppet, REQUEST, save=no_save, seconds=60)
    client = Client(answer)
    client.connect()
    puppet.moves.put_nowait(None)

    await client.finish()

    assert client.ends[0].name == "error"
    assert client.ends[0].data["code"] == "server_error"
    assert "could not be saved" in caplog.text
