"""The database goes away in the middle of answers, and comes back."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from psycopg import sql

from tests import services
from tests.accounts.visitor import Visitor
from tests.chat.conftest import quick
from tests.conftest import unavailable
from tests.environment import FOLDER
from tests.server import Server, children
from tests.services import PostgresServer
from tests.upstream import Hold, Upstream, Wait
from tests.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL server that nobody else uses, so that it can be stopped."""
    # Not below pytest's own folder: the server's user may not enter it.
    folder = FOLDER / f"own-{tmp_path.name}-{time.monotonic_ns()}"
    try:
        server = services.start_postgres(folder)
    except services.Unavailable as exc:
        unavailable(f"there is no PostgreSQL: {exc}")
    # The other tests' server may forget its last transactions in a crash; nobody's real one does.
    server.execute(sql.SQL("ALTER SYSTEM SET synchronous_commit = on"))
    server.pg_ctl("reload")
    yield server
    server.pg_ctl("stop", "-m", "immediate")


@pytest.mark.long
def test_an_answer_outlives_a_database_that_is_away(
    make_server: Callable[..., Server], own_postgres: PostgresServer, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=own_postgres.create_database(), WEB_CONCURRENCY="2")
    user = quick(server.user(), upstream)
    model = upstream.script("one ", Hold(), Wait(2), "two ", Wait(2), "three")
    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        live = stack.enter_context(user.streaming("Hi", "custom", model))
        session = live.next("session").data["sessionId"]
        live.next("message")
        # Readers in either process.
        path = f"/api/chat/sessions/{session}/stream"
        others = [stack.enter_context(user.opened("GET", path)) for _ in range(6)]
        for other in others:
            other.next("message")
        model.release()
        rests = [pool.submit(other.rest) for other in others]
        own_postgres.pg_ctl("stop", "-m", "immediate")
        back = threading.Timer(10, own_postgres.pg_ctl, ["start", "--log", str(own_postgres.log_path)])
        back.start()

        last = [event for event in live if event.name == "message"][-1]

        ended = live.seen[-1]
        back.join()
        joined = [rest.result() for rest in rests]
    # The text went on while the database was away; `done` waited for it.
    assert last.data["content"] == "three"
    assert ended.name == "done"
    assert ended.at - last.at > 2
    stored = user.messages(session)[-1]
    assert (stored["content"], stored["status"]) == ("one two three", "complete")
    # Nobody was told that it broke off, although no process could say for ten seconds that it lives.
    assert [(answer.text, answer.names[-1]) for answer in joined] == [("one two three", "done")] * 6
    assert user.stream("on it goes", sessionId=session).names[-1] == "done"
    assert "Traceback" not in server.log()


@pytest.mark.long
def test_fifty_answers_outlive_an_immediate_restart(
    make_server: Callable[..., Server], own_postgres: PostgresServer, upstream: Upstream
) -> None:
    environ = {"WEB_CONCURRENCY": "2", "CHAT_MAX_RUNNING": "1000"}
    server = make_server(DATABASE_URL=own_postgres.create_database(), **environ)
    user = quick(server.user(), upstream)
    model = upstream.script("one ", Hold(), *(f"{number} " for number in range(40)), delay=0.1)
    text = "one " + "".join(f"{number} " for number in range(40))
    with ExitStack() as stack, ThreadPoolExecutor(50) as pool:
        opening = [user.streaming(f"Hi {number}", "custom", model) for number in range(50)]
        lives = list(pool.map(lambda stream: stack.enter_context(stream), opening))
        for live in lives:
            live.next("message")
        model.release()
        rests = [pool.submit(live.rest) for live in lives]
        until(lambda: all(request.sent >= 10 for request in model.requests))
        own_postgres.pg_ctl("restart", "-m", "immediate", "--log", str(own_postgres.log_path))
        ends = [rest.result() for rest in rests]

    # Their processes live, so they go on as if nothing had been.
    assert {(end.text, end.names[-1]) for end in ends} == {(text, "done")}
    for end in ends:
        stored = user.messages(end.session["sessionId"])[-1]
        assert (stored["status"], stored["content"]) == ("complete", text)


@pytest.mark.long
def test_an_immediate_restart_costs_no_request_afterwards(
    make_server: Callable[..., Server], own_postgres: PostgresServer, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=own_postgres.create_database(), WEB_CONCURRENCY="2")
    user = quick(server.user(), upstream)
    for _ in range(10):
        user.stream("Hi")

    own_postgres.pg_ctl("restart", "-m", "immediate", "--log", str(own_postgres.log_path))

    statuses = [user.get("/api/chat/sessions").status_code for _ in range(20)]
    assert set(statuses) == {200}
    assert user.stream("Hi").names[-1] == "done"


@pytest.mark.long
def test_nobody_waits_long_for_a_database_that_is_away(
    make_server: Callable[..., Server], own_postgres: PostgresServer, upstream: Upstream
) -> None:
    server = make_server(DATABASE_URL=own_postgres.create_database())
    user = quick(server.user(), upstream)
    visitor = Visitor(server)
    visitor.sign_in(user.username, user.password)
    model = upstream.script("one ", Hold(), "two")

    def status(ask: Callable[[], httpx.Response]) -> tuple[int, str, float]:
        began = time.monotonic()
        response = ask()
        return response.status_code, response.headers.get("retry-after", ""), time.monotonic() - began

    def ask_api() -> httpx.Response:
        return user.get("/api/chat/sessions")

    with ExitStack() as stack, ThreadPoolExecutor(60) as pool:
        for _ in range(5):
            stack.enter_context(user.streaming("Hi", "custom", model)).next("message")
        own_postgres.pg_ctl("stop", "-m", "immediate")
        model.release()  # five answers try to store their ends
        asked = [pool.submit(status, ask_api) for _ in range(50)]
        pages = [pool.submit(visitor.get, path) for path in ("/", "/settings", "/admin/", "/accounts/login")]
        told = [one.result() for one in asked]
        shown = [page.result() for page in pages]
        later = status(ask_api)
        own_postgres.pg_ctl("start", "--log", str(own_postgres.log_path))

    assert {(code, wait) for code, wait, _ in told} == {(503, "5")}
    assert max(seconds for *_, seconds in told) < 13
    assert later[0] == 503
    assert later[2] < 3
    for page in shown:
        if page.request.url.path == "/accounts/login" and page.status_code == 200:
            continue  # it may need nothing of the database
        assert (page.status_code, page.headers["retry-after"]) == (503, "5"), page.request.url
        assert page.headers["content-type"].startswith("text/html")
        assert "cannot reach its database" in page.text
    assert "Traceback" not in server.log()
    until(lambda: ask_api().status_code == 200)


@contextmanager
def frozen(postgres: PostgresServer) -> Iterator[None]:
    """Let a server keep its connections and say nothing."""
    main = int((postgres.log_path.parent / "data" / "postmaster.pid").read_text().split()[0])
    pids = [main, *children(main)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_nobody_waits_long_for_a_database_that_is_silent(
    make_server: Callable[..., Server], own_postgres: PostgresServer
) -> None:
    server = make_server(DATABASE_URL=own_postgres.create_database())
    user = server.user()
    with frozen(own_postgres), ThreadPoolExecutor(20) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _: user.get("/api/chat/sessions").status_code, range(20)))
        took = time.monotonic() - began

    assert set(answers) == {503}
    assert took < 14
    until(lambda: user.get("/api/chat/sessions").status_code == 200)
