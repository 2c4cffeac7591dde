"""Answers in very many small pieces: what all readers have is kept as one, and nobody notices."""

import asyncio
import random
import uuid

import orjson
import pytest

from chat import answers
from chat.answers import Opening, Outcome, RunningAnswer
from chat.events import Position
from providers.base import ReasoningDelta, TextDelta
from providers.sse import Decoder

LETTERS = "abc中文🙂 \n"


def an_answer() -> RunningAnswer:
    return RunningAnswer(Opening(uuid.uuid4(), uuid.uuid4(), None, "t"))


async def gathered(answer: RunningAnswer, position: Position, seed: int) -> list[tuple[str, str]]:
    """Follow to the end, now and then slowly; return runs of (event, text)."""
    pause = random.Random(seed)
    decoder = Decoder()
    runs: list[tuple[str, str]] = []
    async for batch in answer.follow(position, lambda *_: b"event: done\ndata: {}\n\n"):
        for event in decoder.feed(batch):
            if event.name not in ("reasoning", "message"):
                continue
            text = orjson.loads(event.data)["content"]
            if runs and runs[-1][0] == event.name:
                runs[-1] = (event.name, runs[-1][1] + text)
            else:
                runs.append((event.name, text))
        for _ in range(pause.choice([0, 0, 0, 40])):
            await asyncio.sleep(0)
    return runs


@pytest.mark.parametrize("seed", range(10))
async def test_readers_get_every_piece_once_and_in_order(monkeypatch, seed):
    monkeypatch.setattr(answers, "MERGE_PIECES", 7)
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
        text = chance.choice(LETTERS)
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


async def test_a_million_letters_are_not_kept_one_by_one():
    answer = an_answer()
    for _ in range(1_000_000):
        answer.grow(TextDelta("x"))
    assert len(answer.pieces) < 2 * answers.MERGE_PIECES
    assert answer.texts() == ("", "x" * 1_000_000)
    assert answer.chars == 1_000_000
