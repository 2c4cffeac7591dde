"""Content that turns out to be reasoning: what every reader has in the end, wherever it reads."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from chat import streams
from chat.answers import Opening, Outcome, RunningAnswer
from chat.events import START, Position, encode, parse_id, text_form
from chat.ids import uuid7
from chat.models import ChatSession, Message
from chatproject.db import in_db
from providers.base import ReasoningEnd, TextDelta
from tests.eventstream import Event, EventReader
from tests.server import Server, User
from tests.upstream import Hold, Upstream

Status = Message.Status


class Reader:
    """One who honours `reset`, and may have something already."""

    def __init__(self, reasoning: str = "", content: str = "") -> None:
        self.reasoning, self.content = reasoning, content
        self.resets = 0
        self.last_id = ""

    def take(self, events: list[Event]) -> None:
        for event in events:
            self.last_id = event.id
            if event.data.get("reset"):
                self.reasoning = self.content = ""
                self.resets += 1
            elif event.name == "reasoning":
                self.reasoning += event.data["content"]
            elif event.name == "message":
                self.content += event.data["content"]

    @property
    def has(self) -> tuple[str, str]:
        return self.reasoning, self.content


async def followed(batches: AsyncGenerator[bytes, None], reader: Reader) -> Reader:
    decoder = EventReader()
    async with asyncio.timeout(20), aclosing(batches):
        async for batch in batches:
            reader.take(decoder.feed(batch))
    return reader


def an_answer(**has: Any) -> RunningAnswer:
    return RunningAnswer(Opening(uuid4(), uuid4(), None, "t"), **has)


# --- Positions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [Position(0, 0), Position(12, 3), Position(12, 3, 1), Position(0, 0, 2)])
def test_an_event_id_names_the_position_with_its_resets(position: Position) -> None:
    message_id = uuid4()
    written = encode("done", message_id, position, {}, ended=True).split(b"\n")[0].removeprefix(b"id: ")
    form = text_form("message", message_id, position.resets) % (*position[:2], b'"x"')

    ended, running = parse_id(written.decode()), parse_id(form.split(b"\n")[0][4:].decode())
    assert ended is not None and running is not None
    assert (ended.position, running.position, ended.ended) == (position, position, True)


@pytest.mark.parametrize(
    ("position", "end", "lost"),
    [
        (Position(0, 5), Position(0, 9), False),
        (Position(0, 9), Position(0, 5), True),
        (Position(0, 5), Position(9, 9, 1), True),
        (Position(9, 1, 1), Position(9, 9, 1), False),
        (START, Position(9, 9, 1), False),
    ],
)
def test_a_position_of_another_count_of_resets_is_lost(position: Position, end: Position, lost: bool) -> None:
    assert position.is_lost(end) is lost


# --- In the process that runs the answer --------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [{}, {"reasoning": "Before.", "content": "Had. "}])
async def test_who_reads_who_comes_late_and_who_comes_back_have_the_same(earlier: dict[str, str]) -> None:
    answer = an_answer(**earlier)
    live = asyncio.ensure_future(followed(streams.follow(answer, START), Reader()))
    await asyncio.sleep(0)
    for piece in ("Two ", "and ", "two.\n"):
        answer.grow(TextDelta(piece))
        await asyncio.sleep(0)
    told = earlier.get("content", "") + "Two and two.\n"
    old = Position(len(earlier.get("reasoning", "")), len(told))
    answer.grow(ReasoningEnd())
    answer.grow(TextDelta("The answer is four, and that is longer than what was said."))
    back = asyncio.ensure_future(
        followed(streams.follow(answer, old), Reader(earlier.get("reasoning", ""), told))
    )
    late = asyncio.ensure_future(followed(streams.follow(answer, START), Reader()))
    await asyncio.sleep(0)
    answer.end(Outcome("complete", finish_reason="stop"))

    seen = await asyncio.gather(live, back, late)
    thought = "Before.\n\nTwo and two." if earlier else "Two and two."
    assert {reader.has for reader in seen} == {
        (
            thought,
            earlier.get("content", "") + "The answer is four, and that is longer than what was said.",
        )
    }
    assert [reader.resets for reader in seen] == [1, 1, 0]
    again = parse_id(seen[0].last_id)
    assert again is not None and again.position.resets == 1


# --- Where another process runs it --------------------------------------------------------------------------


def stored(status: str, reasoning: str, content: str, resets: int) -> Message:
    user = get_user_model().objects.create_user(f"u{uuid4().hex}", password="a-long-password")
    session = ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")
    return Message.objects.create(
        id=uuid7(),
        session=session,
        role=Message.Role.ASSISTANT,
        status=status,
        reasoning=reasoning,
        content=content,
        resets=resets,
    )


@pytest.mark.django_db
async def test_a_reader_elsewhere_starts_over_once_the_row_has_been_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.01)
    message = await in_db(stored, Status.STREAMING, "", "Two and two.\n", 0)
    batches, reader, decoder = streams.follow_stored(message.id, START), Reader(), EventReader()
    rows = Message.objects.filter(pk=message.id)
    async with asyncio.timeout(20), aclosing(batches):
        reader.take(decoder.feed(await anext(batches)))
        assert reader.has == ("", "Two and two.\n")
        change: dict[str, Any] = {"reasoning": "Two and two.", "content": "4", "resets": 1}
        await in_db(rows.update, **change)
        reader.take(decoder.feed(await anext(batches)))
        assert reader.has == ("Two and two.", "4")
        await in_db(rows.update, content="4, that is.", status=Status.COMPLETE)
        reader.take(decoder.feed(await anext(batches)))

    assert (reader.has, reader.resets) == (("Two and two.", "4, that is."), 1)


@pytest.mark.django_db
async def test_a_row_that_lags_behind_a_reset_says_nothing_to_one_who_has_heard_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "POLL_SECONDS", 0.01)
    message = await in_db(stored, Status.STREAMING, "", "Two and two, and so on.\n", 0)
    reader, decoder = Reader("Two and two, and so on.", "4"), EventReader()
    batches = streams._stored(message.id, Position(23, 1, 1))
    async with asyncio.timeout(20), aclosing(batches):
        for _ in range(3):
            reader.take(decoder.feed((await anext(batches))[0]))
        assert reader.has == ("Two and two, and so on.", "4")
        change: dict[str, Any] = {"reasoning": "Two and two, and so on.", "content": "4!", "resets": 1}
        await in_db(Message.objects.filter(pk=message.id).update, status=Status.COMPLETE, **change)
        async for batch, _ in batches:
            reader.take(decoder.feed(batch))

    assert (reader.has, reader.resets) == (("Two and two, and so on.", "4!"), 0)


@pytest.mark.django_db
async def test_a_crash_right_after_a_reset_leaves_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    message = await in_db(stored, Status.INTERRUPTED, "", "Two and two.\n", 0)

    reader = await followed(
        streams.follow_stored(message.id, Position(12, 1, 1)), Reader("Two and two.", "4")
    )

    assert (reader.has, reader.resets) == (("", "Two and two.\n"), 1)


# --- Over HTTP ----------------------------------------------------------------------------------------------


def test_a_closing_tag_alone_is_told_stored_and_resumed_right(
    server: Server, alice: User, upstream: Upstream
) -> None:
    model = upstream.script("Two and ", "two.", "\n</think>\n\n", "4", Hold(), " in all")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        old = live.next("message").id
        assert live.next("session").data["reset"] is True
        live.next("reasoning")
        live.next("message")
        path, headers = f"/api/chat/sessions/{session}/stream", {"Last-Event-ID": old}
        with alice.opened("GET", path, headers=headers) as again:
            # Elsewhere the row is polled, which hears of it a little later.
            while not again.next("session").data.get("reset"):
                pass
            model.release()
            back = again.rest()
        whole = live.rest()

    message = alice.messages(session)[-1]
    assert (message["reasoning"], message["content"]) == ("Two and two.", "4 in all")
    for events in (whole, back, alice.resume(session, old)):
        reader = Reader("", "Two and ")
        reader.take(list(events))
        assert (reader.has, reader.resets) == (("Two and two.", "4 in all"), 1)
