"""What bounds a request before it costs anything."""

import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.chat.conftest import quick
from tests.server import Server
from tests.upstream import Upstream

MakeServer = Callable[..., Server]


@pytest.fixture(params=["sqlite", "postgres", "postgres-redis"])
def limited_server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    """Somewhere twenty answers are allowed, in two processes where that is possible.

    An hour rather than a minute, so that the window does not end within the test.
    """
    environ: dict[str, str] = {"CHAT_RATE_LIMIT": "20/h", "CHAT_MAX_RUNNING": "1000"}
    if request.param != "sqlite":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    if request.param == "postgres-redis":
        environ["REDIS_URL"] = request.getfixturevalue("redis_url")
    return make_server(**environ)


@pytest.mark.long
def test_exactly_twenty_of_two_hundred_are_let_through(limited_server: Server, upstream: Upstream) -> None:
    user = quick(limited_server.user(), upstream)
    model = upstream.script("ok")
    body = {"message": "Hi", "provider": "custom", "model": model}

    def ask(_: int) -> tuple[int, str]:
        with user.client() as client:
            response = client.post("/api/chat/stream", json=body, timeout=120)
            return response.status_code, response.headers.get("retry-after", "")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(200)))

    statuses = [status for status, _ in answers]
    assert statuses.count(429) == 180, {status: statuses.count(status) for status in set(statuses)}
    assert statuses.count(200) == 20
    assert all(1 <= int(wait) <= 3600 for status, wait in answers if status == 429)
    assert len(model.requests) == 20
    assert len(user.get("/api/chat/sessions", params={"limit": 100}).json()["sessions"]) == 20


def test_one_users_limit_is_not_anothers(make_server: MakeServer, upstream: Upstream) -> None:
    server = make_server(CHAT_RATE_LIMIT="1/h")
    alice, bob = quick(server.user(), upstream), quick(server.user(), upstream)
    alice.stream("Hi")

    refused = alice.post("/api/chat/stream", json={"message": "Hi", "provider": "demo", "model": "demo"})

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert bob.stream("Hi").names[-1] == "done"


def raw(server: Server) -> socket.socket:
    address = urlsplit(server.base_url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def answer_of(link: socket.socket) -> tuple[int, dict[str, object]]:
    data = b""
    while chunk := link.recv(65536):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_a_huge_body_is_refused_before_it_is_sent(server: Server) -> None:
    with raw(server) as link:
        link.sendall(
            b"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Accept-Language: en\r\nContent-Length: 314572800\r\n\r\n{"
        )
        status, body = answer_of(link)

    assert (status, body["code"], body["error"]) == (413, "body_too_large", "The request is too large.")


def test_a_huge_body_without_a_length_is_cut_off(sqlite_server: Server) -> None:
    sent = 0
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with raw(sqlite_server) as link:
        link.sendall(
            b"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 300 << 20:
                link.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert sent < 30 << 20
    assert memory_of(sqlite_server) < 400 << 20


def memory_of(server: Server) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_nonsense_length_is_refused(sqlite_server: Server) -> None:
    for length in (b"-1", b"9" * 30, b"1e9"):
        with raw(sqlite_server) as link:
            link.sendall(
                b"POST /api/chat/stream HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n"
            )
            assert int(link.recv(100).split()[1]) in {400, 413}


def test_a_client_that_stops_in_the_middle_of_its_body_holds_nobody_up(
    sqlite_server: Server, upstream: Upstream
) -> None:
    links = [raw(sqlite_server) for _ in range(50)]
    for link in links:
        link.sendall(b"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    user = quick(sqlite_server.user(), upstream)

    began = time.monotonic()
    assert user.stream("Hi").names[-1] == "done"

    assert time.monotonic() - began < 5
    for link in links:
        link.close()


def test_endless_headers_are_cut_off(sqlite_server: Server) -> None:
    before = memory_of(sqlite_server)
    sent = 0
    with raw(sqlite_server) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        try:
            while sent < 40 << 20:
                link.sendall(b"X: y\r\n" * 4096)
                sent += 6 * 4096
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert sent < 8 << 20
    assert memory_of(sqlite_server) - before < 64 << 20


def test_a_head_that_is_too_long_is_told_so(sqlite_server: Server) -> None:
    with raw(sqlite_server) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * (80 << 10))
        status = int(link.recv(100).split()[1])

    assert status == 431


def test_a_large_body_behind_a_small_head_is_no_long_head(sqlite_server: Server, upstream: Upstream) -> None:
    user = quick(sqlite_server.user(), upstream)

    assert user.stream("长" * 31_000).names[-1] == "done"


def test_an_upgrade_to_a_websocket_is_an_ordinary_request(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        response = client.get(
            "/healthz",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            },
        )

    assert response.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=000000001999999999999999999999999999999",
        "limit=0000000019999999",
        "cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHwwMTkyZjBjMS0yMzQ1LTdhYmMtOGRlZi0wMTIzNDU2Nzg5YWI",
    ],
)
def test_numbers_and_moments_out_of_range_are_refused(server: Server, query: str) -> None:
    user = server.user()

    response = user.get(f"/api/chat/sessions?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_a_search_for_very_much_finds_nothing(server: Server) -> None:
    response = server.user().get("/api/chat/sessions", params={"q": "x" * 50_100})

    assert (response.status_code, response.json()["sessions"]) == (200, [])


def test_no_event_id_makes_a_stream_that_never_ends(server: Server, upstream: Upstream) -> None:
    user = quick(server.user(), upstream)
    opened = user.stream("Hi").session
    for position in ("2147483647-0", "0-999999999999", "999999999-999999999"):
        with user.client() as client:
            response = client.get(
                f"/api/chat/sessions/{opened['sessionId']}/stream",
                headers={"Last-Event-ID": f"{opened['messageId']}:{position}"},
                timeout=5,
            )
        assert response.status_code in {200, 204}
        assert response.status_code == 204 or "event: done" in response.text


def test_a_content_type_that_cannot_be_decoded_is_refused(sqlite_server: Server) -> None:
    kind = "multipart/form-data; boundary=x; charset*=foo''rot13"
    with sqlite_server.client() as client:
        response = client.post("/api/auth/login", content=b"{}", headers={"Content-Type": kind})

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
