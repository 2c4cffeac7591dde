import os
import re
import signal
import time

import httpx
import pytest

from tests.server import Server, ServerDied


def test_it_comes_back_on_the_same_port_with_the_same_data(make_server):
    server = make_server()
    url, user = server.base_url, server.user()

    server.stop()
    with pytest.raises(httpx.ConnectError):
        server.client().get("/healthz")
    server.start()

    assert server.base_url == url
    assert user.get("/api/auth/me").json()["username"] == user.username


def test_kill_reaches_the_workers_too(make_server, postgres_url):
    server = make_server(DATABASE_URL=postgres_url, WEB_CONCURRENCY="2")
    pids = [*server.pids, *server.workers]
    assert len(server.workers) == 2

    server.kill()

    give_up = time.monotonic() + 10
    while alive := [pid for pid in pids if lives(pid)]:
        assert time.monotonic() < give_up, alive
        time.sleep(0.05)


def lives(pid: int) -> bool:
    # What is killed may stay a moment as a zombie, until whoever adopts it has seen it off.
    return os.path.exists(f"/proc/{pid}") and "State:\tZ" not in status(pid)


def status(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/status") as file:
            return file.read()
    except FileNotFoundError:
        return "State:\tZ"


def test_a_first_start_makes_everything_it_needs(tmp_path):
    server = Server(tmp_path / "server", from_nothing=True).start()
    try:
        page = server.client().get("/accounts/login")
        [style] = re.findall(r'<link [^>]*href="(/static/[^"]+[.]css)"', page.text)[:1]
        found = server.client().get(style)
        sessions = server.admin().get("/api/chat/sessions").json()["sessions"]
    finally:
        server.kill()

    assert re.search(r"[.][0-9a-f]{12}[.]css$", style)
    assert (found.status_code, "immutable" in found.headers["cache-control"]) == (200, True)
    assert sessions == []


def test_a_server_that_cannot_start_says_why(tmp_path):
    server = Server(tmp_path / "server", CHAT_RATE_LIMIT="many")

    with pytest.raises(ServerDied, match="CHAT_RATE_LIMIT must look like"):
        server.start()


def test_nothing_of_the_tests_own_environment_reaches_it(monkeypatch, make_server):
    monkeypatch.setenv("DATABASE_URL", "mysql://nowhere/x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebodys-own")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    server = make_server()

    assert not {"DATABASE_URL", "OPENAI_API_KEY", "http_proxy"} & server.environ.keys()
    assert server.stop() == -signal.SIGTERM
