"""Readers of an answer that is not written in their own process, and what they are told of its end."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError

from chat import answers, checkpoints, events, runtime, streams
from chat.answers import Opening, Outcome, RunningAnswer
from chat.events import START, Position
from chat.ids import uuid7
from chat.models import ChatSession, Message
from chatproject.db import in_db
from providers.base import TextDelta
from tests.chat.conftest import quick
from tests.eventstream import Answer, EventReader
from tests.server import Server, User
from tests.upstream import Hold, Reasoning, Upstream

Status = Message.Status


def stored(status: str, content: str) -> Message:
    user = get_user_model().objects.create_user("ada", password="a-long-password")
    session = ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")
    return Message.objects.create(
        id=uuid7(), session=session, role=Message.Role.ASSISTANT, status=status, content=content
    )


def gathered(seen: str, answer: Answer) -> str:
    """Return what a reader that honours `reset` has, who had seen this much before."""
    for event in answer:
        if event.name == "session" and event.data.get("reset"):
            seen = ""
        elif event.name == "message":
            seen += event.data["content"]
    return seen


async def read(batches: AsyncGenerator[bytes, None], *, until: str | None = None) -> tuple[Answer, list[str]]:
    reader, answer = EventReader(), Answer()
    async with asyncio.timeout(20), aclosing(batches):
        async for batch in batches:
            answer += reader.feed(batch)
            if until in {*answer.names, *reader.comments}:
                break
    return answer, reader.comments


# --- where the position lies beyond the text -------------------------------------------------------


@pytest.mark.django_db
async def test_a_crash_that_costs_text_a_reader_has_is_told_with_the_text_anew() -> None:
    message = await in_db(stored, Status.STREAMING, "kept")
    batches = streams.follow_stored(message.id, Position(0, 9))
    async with asyncio.timeout(20):
        first = EventReader().feed(await anext(batches))
    # What is stored of a running answer lags behind, so that nothing is wrong yet.
    assert [event.data.get("reset") for event in first] == [None]
    cut = {"status": Status.INTERRUPTED, "error_code": "interrupted"}
    await in_db(Message.objects.filter(pk=message.id).update, **cut)

    rest, _ = await read(batches)

    assert rest.names == ["session", "message", "error"]
    assert rest.session["reset"] is True
    assert gathered("kept lost", rest) == "kept"
    assert rest[-1].id == f"{message.id}:0-4.end"


@pytest.mark.django_db
async def test_a_reader_who_comes_between_the_commit_and_the_beginning_is_told_once_what_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = await in_db(stored, Status.STREAMING, "")
    batches = streams.follow_stored(message.id, START)
    async with asyncio.timeout(20):
        seen = Answer(EventReader().feed(await anext(batches)))
    answer = RunningAnswer(Opening(message.id, message.session_id, None, "t"))
    monkeypatch.setitem(answers.running, message.id, answer)
    answer.grow(TextDelta("whole"))
    answer.end(Outcome(Status.COMPLETE, finish_reason="stop"))

    rest, _ = await read(batches)

    assert [*seen.names, *rest.names] == ["session", "message", "done"]
    assert rest.text == "whole"


@pytest.mark.parametrize("position", ["0-9", "5-1", "999999999-999999999"])
def test_a_position_beyond_the_end_begins_anew(alice: User, upstream: Upstream, position: str) -> None:
    answer = alice.stream("Hi", "custom", upstream.script(Reasoning("hm"), "one two"))
    session, message = answer.session["sessionId"], answer.session["messageId"]

    again = alice.resume(session, f"{message}:{position}")

    assert again.session == answer.session | {"reset": True}
    assert again[0].id == f"{message}:0-0"
    assert (again.reasoning, again.text) == ("hm", "one two")
    assert again.done == answer.done


async def test_a_position_beyond_the_end_of_a_running_answer_begins_anew() -> None:
    answer = RunningAnswer(Opening(uuid4(), uuid4(), None, "t"), content="kept")

    seen, _ = await read(streams.follow(answer, Position(0, 9)), until="message")

    assert seen.session["reset"] is True
    assert gathered("kept lost", seen) == "kept"


# --- pings -----------------------------------------------------------------------------------------


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def fails(*_: Any) -> None:
    raise OperationalError


@pytest.mark.parametrize("away", [never, fails], ids=["silent", "refusing"])
async def test_a_reader_of_a_stored_answer_is_pinged_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, away: Callable[..., Any]
) -> None:
    monkeypatch.setattr(streams, "in_db", away)
    monkeypatch.setattr(answers, "PING_SECONDS", 0.1)

    _, comments = await read(streams.follow_stored(uuid4(), START), until="ping")

    assert "ping" in comments


async def test_a_reader_of_a_running_answer_is_pinged_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(*_: Any) -> None:
        pass

    monkeypatch.setattr(runtime, "in_db", at_once)
    monkeypatch.setattr(checkpoints, "keep_lease", never)
    monkeypatch.setattr(answers, "PING_SECONDS", 0.1)
    answer = RunningAnswer(Opening(uuid4(), uuid4(), None, "t"))
    monkeypatch.setitem(answers.running, answer.id, answer)
    await runtime.start()
    try:
        _, comments = await read(streams.follow(answer, START), until="ping")
    finally:
        answers.running.pop(answer.id)
        await runtime.stop()

    assert "ping" in comments


# --- when the reader's process ends -----------------------------------------------------------------


async def test_nobody_waits_for_a_silent_database_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "in_db", never)
    monkeypatch.setattr(streams, "leaving", True)
    message_id = UUID(int=7)

    seen, _ = await read(streams.follow_stored(message_id, Position(0, 3)))

    assert (seen.names, seen.error["code"]) == (["error"], "shutting_down")
    assert events.parse_id(seen[0].id) == events.EventId(message_id, Position(0, 3))


def test_a_reader_of_another_process_is_told_when_its_own_ends(
    make_server: Callable[..., Server], postgres_url: str, upstream: Upstream
) -> None:
    same = {"DATABASE_URL": postgres_url, "SECRET_KEY": "the same in both processes " * 2}
    writing = make_server(**same)
    reading = make_server(**same, CHAT_SHUTDOWN_GRACE_SECONDS="20")
    user = quick(writing.user(), upstream)
    model = upstream.script("one ", Hold(), "two")
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        elsewhere = reading.login(user.username, user.password)
        with elsewhere.opened("GET", f"/api/chat/sessions/{session}/stream") as other:
            other.next("message")
            asked = time.monotonic()
            os.kill(reading.pids[0], signal.SIGTERM)
            told = other.rest()
        reading.stop()
        took = time.monotonic() - asked
        model.release()
        whole = live.rest()

    assert (told.error["code"], told.error["retryable"]) == ("shutting_down", True)
    # Well below what a process with answers of its own would wait for them.
    assert took < 15
    rest = user.resume(session, told[-1].id)
    assert told.text + rest.text == whole.text == "one two"
    assert rest.done == whole.done


# --- repeating what is gone, or without a key --------------------------------------------------------


def test_a_repeat_of_what_was_deleted_is_refused(alice: User, upstream: Upstream) -> None:
    model = upstream.script("short-lived")
    headers = {"Idempotency-Key": f"key-{time.monotonic_ns()}"}
    body = {"message": "Hi", "provider": "custom", "model": model}
    answer = alice.stream("Hi", "custom", model, headers=headers)
    assert alice.delete(f"/api/chat/messages/{answer.session['messageId']}").status_code == 200

    repeat = alice.post("/api/chat/stream", json=body, headers=headers)

    assert (repeat.status_code, repeat.json()["code"]) == (404, "message_not_found")
    assert len(model.requests) == 1


@pytest.mark.parametrize("first", [True, False], ids=["a new conversation", "one that goes on"])
def test_a_repeat_without_a_key_goes_on_from_the_last_event(
    alice: User, upstream: Upstream, first: bool
) -> None:
    model = upstream.script("one ", Hold(), "two")
    asked = {} if first else {"sessionId": alice.stream("Before").session["sessionId"]}
    with alice.streaming("Hi", "custom", model, **asked) as live:
        event = live.next("message")
    model.release()

    rest = alice.stream("Hi", "custom", model, headers={"Last-Event-ID": event.id}, **asked)

    assert event.data["content"] + rest.text == "one two"
    assert rest.names[-1] == "done"
    assert len(model.requests) == 1
    assert len(alice.messages(rest.session["sessionId"])) == (2 if first else 4)


def test_a_forgotten_last_event_id_swallows_no_question(alice: User, bob: User, upstream: Upstream) -> None:
    model = upstream.script("an answer")
    answer = alice.stream("Hi", "custom", model)
    session, message = answer.session["sessionId"], answer.session["messageId"]
    headers = {"Last-Event-ID": answer[-1].id}
    asks: list[tuple[User, str, dict[str, str]]] = [
        (alice, "Something else", {"sessionId": session}),
        (alice, "Something else", {}),
        (alice, "Hi", {"sessionId": alice.stream("Elsewhere").session["sessionId"]}),
        (bob, "Hi", {}),
    ]

    for user, text, body in asks:
        other = user.stream(text, "custom", model, headers=headers, **body)

        assert other.session["messageId"] != message
        assert other.text == "an answer"
    assert len(model.requests) == 1 + len(asks)


def test_what_has_no_body_says_nothing_of_one(alice: User) -> None:
    session = alice.stream("Hi").session["sessionId"]

    response = alice.get(f"/api/chat/sessions/{session}/stream")

    assert response.status_code == 204
    assert not {"content-type", "content-length"} & set(response.headers)
