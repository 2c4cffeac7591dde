"""What happens to running answers when processes end, and what they hold while they run."""

import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from tests.chat.conftest import quick
from tests.chat.raw import RawReader
from tests.chat.test_stream import wait_for_end
from tests.server import LiveStream, Server, User
from tests.upstream import Hold, Upstream, Wait
from tests.waiting import until

MakeServer = Callable[..., Server]


@pytest.fixture(params=["sqlite", "postgres"])
def own_server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    environ = {"CHAT_MAX_RUNNING": "1000", "CHAT_SHUTDOWN_GRACE_SECONDS": "1"}
    if request.param == "postgres":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    return make_server(**environ)


def opened(stack: ExitStack, user: User, model: str, count: int) -> list[LiveStream]:
    return [stack.enter_context(user.streaming(f"Hi {n}", "custom", model)) for n in range(count)]


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_kill_9_leaves_nothing_streaming_and_loses_about_a_second(
    own_server: Server, upstream: Upstream
) -> None:
    user = quick(own_server.user(), upstream)
    pieces = [f"{n} " for n in range(600)]
    model = upstream.script(*pieces, delay=0.1)
    with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        opening = [user.streaming(f"{number}", "custom", model) for number in range(20)]
        lives = list(pool.map(lambda stream: stack.enter_context(stream), opening))
        sessions = [live.next("session").data["sessionId"] for live in lives]
        until(lambda: all(request.sent >= 45 for request in model.requests))
        own_server.kill()
        sent = {request.body["messages"][-1]["content"]: request.sent for request in model.requests}
    own_server.start()

    for number, session in enumerate(sessions):
        stored = wait_for_end(user, session, 40)
        kept = str(stored["content"])
        assert (stored["status"], stored["error"]["code"]) == ("interrupted", "interrupted")
        assert "".join(pieces).startswith(kept)
        # Ten pieces a second; a busy machine may keep them a little later than it should.
        assert sent[str(number)] - len(kept.split()) <= 30
    again = user.stream("on it goes", sessionId=sessions[0])
    assert again.names[-1] == "done"
    assert_it_can_be_continued(user, sessions[1])


def test_on_sqlite_a_crash_is_over_with_the_next_start(make_server: MakeServer, upstream: Upstream) -> None:
    server = make_server()
    user = quick(server.user(), upstream)
    model = upstream.script("kept", Hold(), "never")
    with ExitStack() as stack:
        lives = opened(stack, user, model, 5)
        sessions = [live.next("session").data["sessionId"] for live in lives]
        for live in lives:
            live.next("message")
        until(lambda: all(user.messages(session)[-1]["content"] == "kept" for session in sessions), every=0.1)
        server.kill()
    server.start()

    # Five are all that a person may have; their places are free again.
    assert [user.messages(session)[-1]["status"] for session in sessions] == ["interrupted"] * 5
    assert [user.messages(session)[-1]["content"] for session in sessions] == ["kept"] * 5
    assert user.stream("on it goes", sessionId=sessions[0]).names[-1] == "done"


def test_who_starts_beside_another_on_sqlite_leaves_its_answers_alone(
    make_server: MakeServer, upstream: Upstream
) -> None:
    first = make_server()
    user = quick(first.user(), upstream)
    model = upstream.script("one ", Hold(), "two")
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        link = first.folder / "link.sqlite3"
        link.symlink_to(first.folder / "data/chat.sqlite3")
        second = make_server(DATABASE_URL=f"sqlite:///{link}")
        assert user.messages(session)[-1]["status"] == "streaming"
        second.kill()
        second.start()
        assert user.messages(session)[-1]["status"] == "streaming"
        model.release()
        assert live.rest().text == "one two"
    assert user.messages(session)[-1]["status"] == "complete"


@pytest.mark.long
def test_a_start_waits_for_nobody_who_writes_to_the_database(
    make_server: MakeServer, upstream: Upstream
) -> None:
    server = make_server()
    user = quick(server.user(), upstream)
    model = upstream.script("kept", Hold(), "never")
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        server.kill()
    with closing(sqlite3.connect(server.folder / "data/chat.sqlite3", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        server.start()
        writer.execute("ROLLBACK")

    assert wait_for_end(user, session, 20)["status"] == "interrupted"


def assert_it_can_be_continued(user: User, session: str) -> None:
    """Continue the cut answer at a conversation's end, and see that the text is joined to the character."""
    cut = user.messages(session)[-1]
    with user.opened("POST", f"/api/chat/messages/{cut['id']}/continue") as live:
        live.next("message")
        user.post(f"/api/chat/sessions/{session}/stop")
        rest = live.rest()
    assert rest.session["messageId"] == cut["id"]
    stored = user.messages(session)[-1]
    assert (stored["id"], stored["status"]) == (cut["id"], "stopped")
    assert rest.text
    assert stored["content"] == cut["content"] + rest.text


def threads(server: Server) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in server.pids)


def running_workers(url: str) -> set[str]:
    """Return the workers that have answers under way."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT worker_id::text FROM chat_message WHERE status = 'streaming'"
        ).fetchall()
    return {row[0] for row in rows}


def connections(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.long
def test_open_streams_hold_no_connection_and_no_thread(own_server: Server, upstream: Upstream) -> None:
    # A thousand in production's shape; in one process fewer, still many times as many as it has threads.
    count = 1000 if "DATABASE_URL" in own_server.environ else 300
    allow_files(4096)
    assert files_allowed(own_server) > 2 * 1000  # a stream takes two
    user = quick(own_server.user(), upstream)
    model = upstream.script("one ", Hold(), "two")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: user.stream("Hi"), range(64)))  # every thread has been needed once
        before = threads(own_server)
        # Sixteen at a time: what a thousand at the same moment cost is another question.
        readers = list(pool.map(lambda _: begun(user, model), range(count)))

        grown = threads(own_server) - before
        url = own_server.environ.get("DATABASE_URL")
        held = connections(url) if url else 0
        model.release()
        ends = list(pool.map(lambda reader: reader.read_until("event: done"), readers))

    assert len(model.requests) == len(ends) == count
    assert all("two" in end for end in ends)
    assert held <= 10 * len(own_server.workers)
    assert grown <= 4 * len(own_server.workers)
    for reader in readers:
        reader.leave("fin")


def begun(user: User, model: str) -> RawReader:
    reader = RawReader(user, model)
    reader.read_until("one ")
    return reader


def files_allowed(server: Server) -> int:
    """Return how many open files the worker with the least of them may have."""
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in server.workers]
    return min(int(line.split()[3]) for text in limits for line in text.splitlines() if "open files" in line)


def allow_files(count: int) -> None:
    """Let this process have so many open files: it is the clients and the provider at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@pytest.mark.long
def test_a_worker_that_dies_takes_only_its_own_answers_with_it(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2", CHAT_MAX_RUNNING="1000")
    user = quick(server.user(), upstream)
    model = upstream.script("kept ", Hold(), "on")
    with ExitStack() as stack:
        sessions: list[str] = []
        # Which of the two takes a connection is up to the system: more are opened until both have some.
        while len(running_workers(postgres_url)) < 2:
            assert len(sessions) < 200, "one worker takes every connection"
            for live in opened(stack, user, model, 12):
                sessions.append(live.next("session").data["sessionId"])
                live.next("message")
        until(
            lambda: all(user.messages(session)[-1]["content"] == "kept " for session in sessions), every=0.1
        )
        victim = server.workers[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: not alive(victim))
        model.release()

        ends = [wait_for_end(user, session, 30) for session in sessions]

    statuses = {str(end["status"]) for end in ends}
    assert statuses == {"complete", "interrupted"}
    for end in ends:
        assert end["content"] == ("kept on" if end["status"] == "complete" else "kept ")


def test_no_worker_outlives_the_one_who_watches_over_it(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2", CHAT_SHUTDOWN_GRACE_SECONDS="1")
    user = quick(server.user(), upstream)
    model = upstream.script("kept", Hold(), "never")
    workers = server.workers
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        os.kill(server.pids[0], signal.SIGKILL)
        error = live.rest().error

    assert (error["code"], error["retryable"]) == ("interrupted", True)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    server.kill()
    server.start()  # on the same port: nobody holds it
    stored = user.messages(session)[-1]
    assert (stored["content"], stored["status"]) == ("kept", "interrupted")


@pytest.mark.long
def test_a_frozen_process_lets_go_of_what_another_has_given_up(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2")
    user = quick(server.user(), upstream)
    model = upstream.script("kept ", Wait(4), "more ", Hold(), "never")
    with ExitStack() as stack:
        live = stack.enter_context(user.streaming("Hi", "custom", model))
        session = live.next("session").data["sessionId"]
        live.next("message")
        until(lambda: user.messages(session)[-1]["content"] == "kept ", every=0.1)
        # With the one who watches over it, which would end it: as where a whole machine stands still.
        frozen = [server.pids[0], worker_of(live, server)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        cut = wait_for_end(user, session, 40)
        assert (cut["status"], cut["content"]) == ("interrupted", "kept ")
        # The worker runs before the main process asks whether it still answers.
        before = processor_time(frozen[1])
        os.kill(frozen[1], signal.SIGCONT)
        until(lambda: processor_time(frozen[1]) > before)
        os.kill(frozen[0], signal.SIGCONT)

        error = live.rest().error

    assert (error["code"], error["retryable"]) == ("interrupted", True)
    give_up = time.monotonic() + 10
    while (stored := user.messages(session)[-1])["content"] == "kept ":
        assert time.monotonic() < give_up
    # What had come through the wire meanwhile is kept, and no more of it will come.
    assert (stored["content"], stored["status"]) == ("kept more ", "interrupted")
    assert_it_can_be_continued(user, session)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait to be collected."""
    state = process_state(pid)
    return bool(state) and state[0] not in ("Z", "X")


def processor_time(pid: int) -> int:
    """Return the clock ticks of the processor that a process has used."""
    return sum(int(ticks) for ticks in process_state(pid)[11:13])


def process_state(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return []


def worker_of(live: LiveStream, server: Server) -> int:
    """Return the process at the other end of a stream's connection."""
    stream = live.response.extensions["network_stream"]
    client, port = stream.get_extra_info("client_addr")[1], stream.get_extra_info("server_addr")[1]
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    [inode] = [it[9] for it in sockets if it[1].endswith(f":{port:04X}") and it[2].endswith(f":{client:04X}")]
    [pid] = [
        pid
        for pid in server.workers
        if f"socket:[{inode}]" in {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    ]
    return pid


def backends(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return [pid for (pid,) in rows]


def test_a_process_is_gone_in_time_though_its_database_hangs(
    make_server: MakeServer, postgres_url: str, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2", CHAT_SHUTDOWN_GRACE_SECONDS="1")
    user = quick(server.user(), upstream)
    model = upstream.script("kept ", Hold(), "never")
    with ExitStack() as stack:
        lives = opened(stack, user, model, 5)
        for live in lives:
            live.next("message")
        for backend in backends(postgres_url):
            os.kill(backend, signal.SIGSTOP)
            stack.callback(os.kill, backend, signal.SIGCONT)
        with ThreadPoolExecutor(5) as pool:
            rests = pool.map(LiveStream.rest, lives)
            server.stop(timeout=20)
            ends = list(rests)

    assert {answer.error["code"] for answer in ends} == {"interrupted"}
