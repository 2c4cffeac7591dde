"""Whose answers count as abandoned, and who may say so."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from chat import leases
from chat.ids import uuid7
from chat.models import ChatSession, Message, Worker

pytestmark = pytest.mark.django_db
Status = Message.Status


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_touched_at", None)
    monkeypatch.setattr(leases, "_kept_at", float("-inf"))
    monkeypatch.setattr(leases, "_judges_from", float("-inf"))
    monkeypatch.setattr(leases, "_astray", set())


def running(worker_id: UUID, *, silent: float | None = None) -> Message:
    """Return an answer that a process runs, which was heard of `silent` seconds ago, if ever."""
    if silent is not None:
        Worker.objects.create(pk=worker_id, heartbeat_at=timezone.now() - timedelta(seconds=silent))
    user = get_user_model().objects.create_user(f"u{uuid4().hex}", password="a-long-password")
    session = ChatSession.objects.create(user=user, title="t", provider="demo", model="demo")
    return Message.objects.create(
        id=uuid7(), session=session, role="assistant", status=Status.STREAMING, worker_id=worker_id
    )


def status(message: Message) -> str:
    message.refresh_from_db()
    return message.status


def test_only_the_answers_of_silent_processes_are_interrupted() -> None:
    gone, forgotten, alive = running(uuid4(), silent=13), running(uuid4()), running(uuid4(), silent=5)
    own = running(leases.worker_id, silent=60)

    assert leases.interrupt_abandoned() == 2

    assert (status(gone), status(forgotten)) == (Status.INTERRUPTED, Status.INTERRUPTED)
    assert (status(alive), status(own)) == (Status.STREAMING, Status.STREAMING)


@pytest.mark.parametrize("first", ["a look", "a heartbeat"])
def test_after_an_outage_nobody_is_judged_for_a_while(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any, first: str
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert leases.interrupt_abandoned() == 0
    message = running(uuid4(), silent=15)

    now += 15  # in which the database was away
    if first == "a heartbeat":
        with django_capture_on_commit_callbacks(execute=True):
            leases.renew()
    assert leases.interrupt_abandoned() == 0
    now += 5
    assert leases.interrupt_abandoned() == 0
    assert status(message) == Status.STREAMING
    now += 8
    assert leases.interrupt_abandoned() == 1


def test_an_answer_that_nobody_runs_is_interrupted_the_second_time_it_is_seen() -> None:
    lost, begun = running(leases.worker_id), running(leases.worker_id)
    other = running(uuid4(), silent=1)

    assert leases.interrupt_astray([begun.id]) == 0
    assert leases.interrupt_astray([begun.id]) == 1

    assert status(lost) == Status.INTERRUPTED
    assert (status(begun), status(other)) == (Status.STREAMING, Status.STREAMING)


def test_an_answer_that_had_yet_to_begin_is_left_alone() -> None:
    message = running(leases.worker_id)

    assert leases.interrupt_astray([]) == 0
    assert leases.interrupt_astray([message.id]) == 0
    assert leases.interrupt_astray([]) == 0

    assert status(message) == Status.STREAMING
