"""A client that speaks HTTP/1.0 gets bodies without chunks, which end where the connection does."""

import json
import socket
from urllib.parse import urlsplit

from tests.chat.conftest import quick
from tests.eventstream import Answer, EventReader
from tests.server import Server
from tests.upstream import Reasoning, Upstream, Wait


def ask(server: Server, request: str, *headers: str, body: bytes = b"") -> tuple[list[bytes], bytes]:
    """Return the lines of the head, and all that comes after it until the server hangs up."""
    address = urlsplit(server.base_url)
    lines = [f"{request} HTTP/1.0", f"Host: {address.netloc}", *headers, f"Content-Length: {len(body)}"]
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as link:
        link.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b"".join(iter(lambda: link.recv(65536), b""))
    head, _, rest = answer.partition(b"\r\n\r\n")
    return head.lower().split(b"\r\n"), rest


def test_a_stream_has_no_chunks(sqlite_server: Server, upstream: Upstream) -> None:
    user = quick(sqlite_server.user(), upstream)
    model = upstream.script(Reasoning("hm"), "one ", Wait(0.1), "two ", "三" * 100_000)
    asked = json.dumps({"message": "Hi", "provider": "custom", "model": model}).encode()
    headers = f"Authorization: Bearer {user.access}", "Content-Type: application/json"

    head, body = ask(sqlite_server, "POST /api/chat/stream", *headers, body=asked)

    reader = EventReader()
    answer = Answer(reader.feed(body))
    reader.close()
    assert (answer.text, answer.names[-1]) == ("one two " + "三" * 100_000, "done")
    assert b"connection: close" in head
    assert not [line for line in head if line.startswith((b"transfer-encoding", b"content-length"))]


def test_a_body_of_known_length_keeps_its_length(sqlite_server: Server) -> None:
    for path in ("/api/chat/modes", "/accounts/login", "/healthz"):
        head, body = ask(sqlite_server, f"GET {path}", "Connection: keep-alive")

        assert b"content-length: %d" % len(body) in head, path
        assert b"connection: close" in head, path
        assert not [line for line in head if line.startswith(b"transfer-encoding")], path


def test_a_head_without_a_body_ends_with_the_connection(sqlite_server: Server) -> None:
    head, body = ask(sqlite_server, "HEAD /accounts/login")

    assert head[0].endswith(b"200 ok")
    assert body == b""
