"""Every response names its request, and every line of the log that was written for it names it too."""

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest

from chatproject import request_ids
from chatproject.logs import LineFormatter, WithoutQuery
from tests.server import Server
from tests.waiting import until

GIVEN = "9f0c/Ab:1.2_3-x=+@"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/schema"),
        ("GET", "/api/auth/me"),
        ("GET", "/api/nothing"),
        ("OPTIONS", "/api/chat/stream"),
        ("GET", "/healthz"),
        ("GET", "/accounts/login"),
        ("GET", "/nothing"),
        ("GET", "/static/nothing.js"),
        ("GET", "/static/admin/css/base.css"),
        ("POST", "/api/auth/login"),
    ],
)
def test_a_given_id_comes_back_in_every_response(sqlite_server: Server, method: str, path: str) -> None:
    body = b"x" * (3 << 19) if method == "POST" else None  # too large, which is refused before Django
    with sqlite_server.client(headers={"X-Request-Id": GIVEN}) as client:
        response = client.request(method, path, content=body)

    assert response.headers.get_list("x-request-id") == [GIVEN]
    if response.status_code >= 400 and path.startswith("/api"):
        assert response.json()["requestId"] == GIVEN
    if path == "/nothing":
        assert GIVEN.replace("+", "&#x2B;") in response.text or GIVEN in response.text


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "é", 'a"b', "<b>", "a,b"])
def test_an_unusable_id_is_replaced(sqlite_server: Server, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode("latin-1")}
    with sqlite_server.client(headers=headers) as client:
        first, second = client.get("/api/auth/me"), client.get("/api/auth/me")

    assert re.fullmatch(r"[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.json()["requestId"] == first.headers["x-request-id"] != second.headers["x-request-id"]


def test_what_the_server_itself_refuses_has_an_id(sqlite_server: Server) -> None:
    where = ("127.0.0.1", int(sqlite_server.environ["PORT"]))
    with socket.create_connection(where, timeout=10) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        refused = link.recv(4096)

    assert refused.startswith(b"HTTP/1.1 400")
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{32}\r\n", refused)


def test_a_stream_and_the_log_of_its_answer_name_the_request(sqlite_server: Server) -> None:
    alice = sqlite_server.user()
    alice.configure("custom", baseUrl="http://127.0.0.1:9/v1")  # nothing listens there

    with alice.streaming("Hi", "custom", "m", headers={"X-Request-Id": "asked-by-alice"}) as live:
        assert live.response.headers["x-request-id"] == "asked-by-alice"
        answer = live.rest()

    assert answer.names[-1] == "error"
    failed = f"answer {answer.session['messageId']} failed"
    [line] = [line for line in sqlite_server.log().splitlines() if failed in line]
    assert line.endswith(" request_id=asked-by-alice")


def test_the_access_log_names_the_request_and_no_query(make_server: Callable[..., Server]) -> None:
    server = make_server(ACCESS_LOG="1")
    with server.client(headers={"X-Request-Id": "one-of-many"}) as client:
        client.get("/api/chat/sessions?q=words-of-a-person")
        client.get("/api/a%0Ab%1B%5B31m")

    until(lambda: "/api/a" in server.log())
    lines = [line for line in server.log().splitlines() if "one-of-many" in line]
    assert len(lines) == 2
    assert '"GET /api/chat/sessions HTTP/1.1" 401 request_id=one-of-many' in lines[0]
    assert '"GET /api/a%0Ab%1B%5B31m HTTP/1.1" 404 request_id=one-of-many' in lines[1]
    assert "words-of-a-person" not in server.log()


def formatted(message: str, *args: Any) -> str:
    return LineFormatter().format(logging.LogRecord("n", logging.INFO, __file__, 1, message, args, None))


def test_no_text_begins_a_new_line_or_steers_a_terminal() -> None:
    line = Context().run(formatted, "said %s", "a\nb\rc\x1b[31md\x85e\u2028f\x9bg\x7fh\tи 你好 \ud800")

    assert line.endswith(r"a | b\x0dc\x1b[31md\x85e\u2028f\x9bg\x7fh\x09и 你好 \ud800")
    assert len(line.splitlines()) == 1
    line.encode()


def test_an_access_line_without_arguments_is_left_alone() -> None:
    record = logging.LogRecord("uvicorn.access", logging.INFO, __file__, 1, "text", None, None)

    assert WithoutQuery().filter(record)
    assert record.getMessage() == "text"


def test_another_server_needs_no_extension() -> None:
    sent: list[Any] = []
    scope = {"type": "http", "headers": [(b"x-request-id", b"from-outside")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert request_ids.current() == "from-outside"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(request_ids.identified(app)(scope, None, send))

    assert sent[0]["headers"] == [(b"x-request-id", b"from-outside")]
    assert "headers" not in sent[1]
