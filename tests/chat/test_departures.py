"""Readers that leave, in every way and at every moment: the answer is whole, and nothing leaks."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import inside
from tests.chat.conftest import quick
from tests.chat.raw import RawReader
from tests.chat.test_processes import connections
from tests.chat.test_stream import wait_for_end
from tests.server import Server, User
from tests.upstream import Hold, Script, Upstream, Wait
from tests.waiting import until

MakeServer = Callable[..., Server]


def only_session(user: User) -> str:
    (session,) = user.get("/api/chat/sessions").json()["sessions"]
    return str(session["id"])


def is_connected(port: int) -> bool:
    """Tell whether the server's end of a client's connection is open both ways."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[2].endswith(f":{port:04X}") and line[3] == "01" for line in lines)


def one_whole_answer(user: User, model: Script, text: str) -> None:
    session = only_session(user)
    stored = wait_for_end(user, session, 20)
    assert (stored["status"], stored["content"]) == ("complete", text)
    assert [message["role"] for message in user.messages(session, branches="all")] == ["user", "assistant"]
    assert len(model.requests) == 1


@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize("when", ["before the first byte", "midway", "at the last piece"])
def test_a_reader_that_leaves_costs_nothing_of_the_answer(
    alice: User, upstream: Upstream, when: str, how: str
) -> None:
    if when == "before the first byte":
        model = upstream.script(Hold(), "一 ", "two ", "three 🌍")
        reader = RawReader(alice, model)
        model.wait_for_request()
    else:
        model = upstream.script("一 ", Hold(), "two ", Wait(0.05), "three 🌍", Wait(0.3))
        reader = RawReader(alice, model)
        if when == "midway":
            reader.read_until("一 ")
        else:
            model.release()
            reader.read_until("three 🌍")

    port = reader.link.getsockname()[1]
    leaving = ThreadPoolExecutor(1).submit(reader.leave, how)
    until(lambda: not is_connected(port))
    model.release()
    leaving.result()

    one_whole_answer(alice, model, "一 two three 🌍")


def test_who_has_asked_twice_is_missed_as_well(make_server: MakeServer, upstream: Upstream) -> None:
    server = make_server()
    user = quick(server.user(), upstream)
    first, second = upstream.script("one ", Hold(), "two"), upstream.script("never")
    reader = RawReader(user, first)
    reader.read_until("one ")
    reader.ask(user, second)
    time.sleep(0.3)  # nothing outside shows that the server has read the second question
    port = reader.link.getsockname()[1]
    reader.leave("rst")
    until(lambda: not is_connected(port))
    first.release()

    one_whole_answer(user, first, "one two")
    assert second.requests == []
    assert " ERROR " not in server.log()


@pytest.fixture(params=["sqlite", "postgres"])
def watched_server(request: pytest.FixtureRequest, make_server: MakeServer, tmp_path: Path) -> Server:
    environ = inside.watched(tmp_path) | {"CHAT_MAX_RUNNING": "1000"}
    if request.param == "postgres":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    server = make_server(**environ)
    inside.wait_for_all(server, tmp_path, int(environ.get("WEB_CONCURRENCY", 1)))
    return server


def held(server: Server, folder: Path) -> Counter[str]:
    """Return what a server holds, database connections included."""
    figures = inside.figures(server, folder)
    del figures["collected"]  # comes and goes
    if url := server.environ.get("DATABASE_URL"):
        figures["connections"] = connections(url)
    return figures


def held_at_rest(server: Server, folder: Path, seconds: float = 20) -> Counter[str]:
    """Wait until no answer runs and nobody reads, and return what a server holds then."""
    figures: Counter[str] = Counter()

    def at_rest() -> bool:
        nonlocal figures
        figures = held(server, folder)
        return not figures["RunningAnswer"] and not figures["Reader"]

    until(at_rest, within=seconds, every=0.2)
    return figures


def held_at_last(server: Server, folder: Path, before: Counter[str], seconds: float = 20) -> Counter[str]:
    """Wait until a server holds no more than `before`, and return what it still holds more than that."""
    give_up = time.monotonic() + seconds
    while (more := leaked(before, held(server, folder))) and time.monotonic() < give_up:
        time.sleep(0.2)
    return more


def leaked(before: Counter[str], after: Counter[str]) -> Counter[str]:
    more = after - before
    # A thread of the few there may be can have been needed only now, with a connection to the database of its
    # own, which for SQLite is three files.
    threads = min(more["threads"], 4)
    return more - Counter(threads=threads, files=3 * threads, connections=threads)


@pytest.mark.long
def test_hundreds_of_disconnects_leave_nothing_behind(
    watched_server: Server, upstream: Upstream, tmp_path: Path
) -> None:
    user = quick(watched_server.user(), upstream)
    # No connection to the provider is kept for the next question: each that is left is a leak.
    model = upstream.script("one ", Wait(0.02), "two ", Wait(0.02), "three", headers={"Connection": "close"})
    ways = [
        (how, until) for how in ("fin", "rst", "half-close") for until in ("", "session", "one ", "three")
    ]

    def come_and_go(number: int) -> None:
        how, until = ways[number % len(ways)]
        reader = RawReader(user, model)
        if until:
            reader.read_until(until)
        reader.leave(how)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(come_and_go, range(60)))  # every thread and connection has been needed once
        before = held_at_rest(watched_server, tmp_path)
        list(pool.map(come_and_go, range(360)))  # thirty in each way

    assert held_at_last(watched_server, tmp_path, before) == {}
    assert len(model.requests) > 250  # some were gone before their request had been read
    for session in user.get("/api/chat/sessions", params={"limit": 100}).json()["sessions"]:
        *_, answer = user.messages(session["id"])
        stored = (answer["role"], answer["status"], answer["content"])
        assert stored == ("assistant", "complete", "one two three")
    assert user.stream("Hi", "custom", model).text == "one two three"


@pytest.mark.long
def test_readers_that_stop_reading_are_cut_off_and_their_answers_go_on(
    watched_server: Server, upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # More than the system itself takes on the way, which is megabytes.
    most = "长" * 1_900_000
    growing = upstream.script("first ", *(most[n : n + 38_000] for n in range(0, len(most), 38_000)), "last")
    at_last = upstream.script("first ", "second ", Hold(), most[:600_000])
    models = [growing, growing, at_last]
    users = [quick(watched_server.user(), upstream) for _ in models]
    readers = [RawReader(user, model, window=4096) for user, model in zip(users, models, strict=True)]
    for reader in readers:
        request.addfinalizer(reader.link.close)
    readers[1].read_until("first ")  # midway; the first of them has not read a single byte
    readers[2].read_until("second ")  # at the last piece
    at_last.release()

    for user, model in zip(users, models, strict=True):
        session = only_session(user)
        stored = wait_for_end(user, session, 60, every=1)  # each look is megabytes
        text = "".join(step for step in model.steps if isinstance(step, str))
        assert (stored["status"], stored["content"] == text) == ("complete", True)
        # So long an answer is a page of its own; before it stands the question, and nothing else.
        earlier = user.messages(session, branches="all", before=stored["id"])
        assert [message["role"] for message in earlier] == ["user"]

    # The clients have not closed their connections, and never do.
    assert len(growing.requests) + len(at_last.requests) == 3
    until(lambda: not still_held(watched_server, tmp_path), every=0.2)


def still_held(server: Server, folder: Path) -> dict[str, int]:
    figures = inside.figures(server, folder)
    names = ("RunningAnswer", "Reader", "BoundedProtocol", "RequestResponseCycle")
    return {name: figures[name] for name in names if figures[name]}
