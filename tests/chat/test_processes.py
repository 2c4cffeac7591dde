"""What happens to running answers when processes end, and what they hold while they run."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.chat.conftest import quick
from tests.chat.test_stream import wait_for_end
from tests.server import LiveStream, Server, User
from tests.upstream import Hold, Upstream, Wait

MakeServer = Callable[..., Server]


@pytest.fixture(params=["sqlite", "postgres"])
def own_server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    environ = {"CHAT_MAX_RUNNING": "1000", "CHAT_SHUTDOWN_GRACE_SECONDS": "1"}
    if request.param == "postgres":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    return make_server(**environ)


def opened(stack: ExitStack, user: User, model: str, count: int) -> list[LiveStream]:
    return [stack.enter_context(user.streaming(f"Hi {n}", "custom", model)) for n in range(count)]


def test_sigterm_stores_every_answer_and_tells_every_reader(own_server: Server, upstream: Upstream) -> None:
    user = quick(own_server.user(), upstream)
    model = upstream.script("kept", Hold(), "never")
    with ExitStack() as stack:
        lives = opened(stack, user, model, 10)
        sessions = [live.next("session").data["sessionId"] for live in lives]
        for live in lives:
            live.next("message")
        with ThreadPoolExecutor(10) as pool:
            rests = pool.map(LiveStream.rest, lives)
            began = time.monotonic()
            own_server.stop()
            took = time.monotonic() - began
            ends = list(rests)

    assert took < 10
    assert {answer.error["code"] for answer in ends} == {"interrupted"}
    assert all(answer.error["retryable"] for answer in ends)
    own_server.start()
    for session in sessions:
        stored = user.messages(session)[-1]
        assert (stored["content"], stored["status"]) == ("kept", "interrupted")


def test_an_answer_that_ends_within_the_grace_time_is_whole(own_server: Server, upstream: Upstream) -> None:
    user = quick(own_server.user(), upstream)
    model = upstream.script("one ", Wait(0.6), "two")
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        stopping = threading.Thread(target=own_server.stop)
        stopping.start()
        answer = live.rest()
        stopping.join()

    assert answer.text == "one two"
    assert answer.done["status"] == "complete"
    own_server.start()
    assert user.messages(session)[-1]["content"] == "one two"


def test_kill_9_leaves_nothing_streaming_and_loses_about_a_second(
    own_server: Server, upstream: Upstream
) -> None:
    user = quick(own_server.user(), upstream)
    model = upstream.script(*(f"{n} " for n in range(1000)), delay=0.05)
    with ExitStack() as stack:
        lives = opened(stack, user, model, 5)
        sessions = [live.next("session").data["sessionId"] for live in lives]
        time.sleep(3)
        own_server.kill()
    own_server.start()

    for session in sessions:
        stored = wait_for_end(user, session, 30)
        assert stored["status"] == "interrupted"
        # 60 pieces in three seconds; what the last second brought may be missing.
        assert len(str(stored["content"]).split()) >= 25
    again = user.stream("on it goes", sessionId=sessions[0])
    assert again.names[-1] == "done"


def threads(server: Server) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in server.pids)


def connections(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_open_streams_hold_no_connection_and_no_thread(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, CHAT_MAX_RUNNING="1000")
    user = quick(server.user(), upstream)
    model = upstream.script("one", Hold(), "two")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: user.stream("Hi"), range(64)))  # every thread has been needed once
    before = threads(server)
    with ExitStack() as stack:
        lives = opened(stack, user, model, 200)
        for live in lives:
            live.next("message")

        held, grown = connections(postgres_url), threads(server) - before

        model.release()
        assert all(live.rest().text == "onetwo" for live in lives)
    assert held <= 10
    assert grown <= 4


def test_a_worker_that_dies_takes_only_its_own_answers_with_it(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2", CHAT_MAX_RUNNING="1000")
    user = quick(server.user(), upstream)
    model = upstream.script("kept ", Hold(), "on")
    with ExitStack() as stack:
        lives = opened(stack, user, model, 12)
        sessions = [live.next("session").data["sessionId"] for live in lives]
        for live in lives:
            live.next("message")
        time.sleep(2)
        workers = [
            pid for pid in server.pids[1:] if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.5)
        model.release()

        ends = [wait_for_end(user, session, 30) for session in sessions]

    statuses = {str(end["status"]) for end in ends}
    assert statuses == {"complete", "interrupted"}
    for end in ends:
        assert end["content"] == ("kept on" if end["status"] == "complete" else "kept ")
