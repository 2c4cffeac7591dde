"""Answers in very many small pieces: what all readers have is kept as one, and nobody notices."""

import asyncio
import random
import uuid
from collections.abc import Callable

import orjson
import pytest

from chat import answers
from chat.answers import Opening, Outcome, Outlet, RunningAnswer
from chat.events import Position
from providers.base import ReasoningDelta, TextDelta
from providers.sse import Decoder

LETTERS = "abc中文🙂 \n"


def an_answer() -> RunningAnswer:
    return RunningAnswer(Opening(uuid.uuid4(), uuid.uuid4(), None, "t"))


class FreeNowAndThen:
    """A way past the response, for as long as chance will have it."""

    def __init__(self, take: Callable[[bytes], None], seed: int) -> None:
        self._take = take
        self._chance = random.Random(seed)

    @property
    def is_free(self) -> bool:
        return self._chance.random() < 0.6

    def write(self, piece: bytes) -> None:
        self._take(piece)


async def gathered(answer: RunningAnswer, position: Position, seed: int) -> list[tuple[str, str]]:
    """Follow to the end, now and then slowly; return runs of (event, text)."""
    pause = random.Random(seed)
    decoder = Decoder()
    runs: list[tuple[str, str]] = []

    def take(batch: bytes) -> None:
        for event in decoder.feed(batch):
            if event.name not in ("reasoning", "message"):
                continue
            text = orjson.loads(event.data)["content"]
            if runs and runs[-1][0] == event.name:
                runs[-1] = (event.name, runs[-1][1] + text)
            else:
                runs.append((event.name, text))

    outlet = Outlet()
    outlet.way = FreeNowAndThen(take, seed)
    end = b"event: done\ndata: {}\n\n"
    async for batch in answer.follow(position, lambda *_: end, outlet if seed % 2 else None):
        take(batch)
        for _ in range(pause.choice([0, 0, 0, 40])):
            await asyncio.sleep(0)
    return runs


@pytest.mark.parametrize("portion", [5, answers.PORTION_CHARS])
@pytest.mark.parametrize("seed", range(10))
async def test_readers_get_every_piece_once_and_in_order(monkeypatch, seed, portion):
    monkeypatch.setattr(answers, "MERGE_PIECES", 7)
    monkeypatch.setattr(answers, "PORTION_CHARS", portion)
    monkeypatch.setattr(answers, "PIECE_CHARS", 1)
    chance = random.Random(seed)
    answer = an_answer()
    readers: list[tuple[Position, asyncio.Task[list[tuple[str, str]]]]] = []
    expected: list[tuple[str, str]] = []
    begin = Position(0, 0)
    for step in range(400):
        if step % 100 == 0:
            task = asyncio.ensure_future(gathered(answer, begin, seed + step))
            readers.append((begin, task))
        name = "reasoning" if chance.random() < 0.1 else "message"
        text = chance.choice(LETTERS) * chance.choice([1, 1, 1, 12])
        answer.grow(ReasoningDelta(text) if name == "reasoning" else TextDelta(text))
        if expected and expected[-1][0] == name:
            expected[-1] = (name, expected[-1][1] + text)
        else:
            expected.append((name, text))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    answer.end(Outcome("complete"))
    for _, task in readers:
        assert await task == expected
    assert answer.texts() == tuple(
        "".join(text for kind, text in expected if kind == name) for name in ("reasoning", "message")
    )


@pytest.mark.parametrize("seed", range(10))
async def test_readers_that_lag_far_behind_get_both_texts_whole(monkeypatch, seed):
    monkeypatch.setattr(answers, "MERGE_PIECES", 7)
    monkeypatch.setattr(answers, "MOST_TURNS", 3)
    monkeypatch.setattr(answers, "MOST_WAITING", 10)
    monkeypatch.setattr(answers, "PORTION_CHARS", 9)
    chance = random.Random(seed)
    answer = an_answer()
    readers: list[tuple[Position, asyncio.Task[list[tuple[str, str]]]]] = []
    for step in range(400):
        if step % 50 == 0:
            reasoning, content = answer.texts()
            position = Position(chance.randint(0, len(reasoning)), chance.randint(0, len(content)))
            readers.append((position, asyncio.ensure_future(gathered(answer, position, seed + step // 50))))
        text = chance.choice(LETTERS) * chance.choice([1, 1, 25])
        answer.grow(chance.choice([ReasoningDelta, TextDelta])(text))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    answer.end(Outcome("complete"))

    for position, task in readers:
        got = {"reasoning": "", "message": ""}
        for name, text in await task:
            got[name] += text
        reasoning, content = answer.texts()
        assert got["reasoning"] == reasoning[position.reasoning :]
        assert got["message"] == content[position.content :]
    assert len(answer.pieces) < 40


async def test_reasoning_and_text_that_take_turns_for_ever_hold_nobody_up():
    answer = an_answer()
    stalled = answer.follow(Position(0, 0), lambda *_: b"the end")
    await anext(stalled)
    most = 0
    for _ in range(300_000):
        answer.grow(ReasoningDelta("a"))
        answer.grow(TextDelta("文"))
        most = max(most, len(answer.pieces))
    # However many there are: a look through all of them, or all of them for one reader, would take seconds.
    assert most <= answers.MOST_WAITING + 2 * answers.MERGE_PIECES
    answer.end(Outcome("complete"))

    for reader in (stalled, answer.follow(Position(0, 0), lambda *_: b"the end")):
        batches = [batch async for batch in reader]
        assert max(map(len, batches)) < 1 << 20
        got = {"reasoning": "", "message": ""}
        for event in Decoder().feed(b"".join(batches)):
            if event.name in got:
                got[event.name] += orjson.loads(event.data)["content"]
        assert got == {"reasoning": "a" * 300_000, "message": "文" * 300_000}


async def test_who_has_everything_already_is_sent_nothing_until_there_is_more():
    answer = an_answer()
    answer.grow(TextDelta("one "))
    batches = answer.follow(Position(0, 4), lambda *_: b"the end")
    assert b"event: session" in await anext(batches)
    following = asyncio.ensure_future(anext(batches))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not following.done()

    answer.grow(TextDelta("two"))

    assert b'"content":"two"}' in await following
    await batches.aclose()


class Switched:
    def __init__(self) -> None:
        self.is_free = True
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)


async def test_a_piece_leaves_at_once_while_its_reader_waits_and_the_way_is_free():
    answer, outlet, way = an_answer(), Outlet(), Switched()
    batches = answer.follow(Position(0, 0), lambda *_: b"the end", outlet)
    assert b"event: session" in await anext(batches)
    outlet.way = way

    answer.grow(TextDelta("before it waits "))
    assert not way.pieces
    assert b"before it waits" in await anext(batches)
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    answer.grow(TextDelta("at once "))
    answer.grow(ReasoningDelta("hm"))
    assert [piece.split(b"data: ")[1] for piece in way.pieces] == [
        b'{"type":"message","content":"at once "}\n\n',
        b'{"type":"reasoning","content":"hm"}\n\n',
    ]
    assert not waiting.done()

    way.is_free = False
    answer.grow(TextDelta("later"))
    assert len(way.pieces) == 2
    assert b'"later"' in await waiting
    answer.end(Outcome("complete"))
    assert await anext(batches) == b"the end"
    await batches.aclose()


async def test_a_million_letters_are_not_kept_one_by_one():
    answer = an_answer()
    for _ in range(1_000_000):
        answer.grow(TextDelta("x"))
    assert len(answer.pieces) < 2 * answers.MERGE_PIECES
    assert answer.texts() == ("", "x" * 1_000_000)
    assert answer.chars == 1_000_000
