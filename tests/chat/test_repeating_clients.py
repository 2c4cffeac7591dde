"""Clients that send a POST again by themselves, on a cut or on an error, double nothing.

Between them and the service stands a proxy that breaks things: the request has always arrived.
"""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chat.conftest import quick
from tests.server import Server, User
from tests.services import free_port
from tests.upstream import Script, Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Page

LIBRARY = Path(__file__).resolve().parent.parent / "data" / "fetch-event-source"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

# Given the number of a POST and what has come back for it so far: what to send the client instead of
# everything that follows, before its connection is closed; `None` where nothing is wrong.
Fault = Callable[[int, bytes], bytes | None]


class Proxy:
    """Passes bytes on between a client and a server, until `fault` has something against it."""

    def __init__(self, server: Server, fault: Fault) -> None:
        address = urlsplit(server.base_url)
        self._server = (address.hostname, address.port)
        self._fault = fault
        self.posts = 0
        self._listener = socket.create_server(("127.0.0.1", free_port()), backlog=64)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listener.accept()[:1], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        with client, server, contextlib.suppress(OSError):
            asked = b""
            while not _whole(asked):
                data = client.recv(65536)
                if not data:
                    return
                asked += data
            # One request each: the next one gets a connection of its own.
            server.sendall(asked.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            if not asked.startswith(b"POST"):
                self._pass_on(server, client, lambda _: None)
                return
            self.posts += 1
            number = self.posts
            self._pass_on(server, client, lambda said: self._fault(number, said))

    def _pass_on(
        self, server: socket.socket, client: socket.socket, fault: Callable[[bytes], bytes | None]
    ) -> None:
        said = b""
        while data := server.recv(65536):
            said += data
            instead = fault(said)
            if instead is not None:
                client.sendall(instead)
                return
            client.sendall(data)


def _whole(request: bytes) -> bool:
    head, separator, body = request.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    ]
    return bool(separator) and len(body) >= int(lengths[0] if lengths else 0)


@pytest.fixture
def proxied() -> Iterator[Callable[[Server, Fault], Proxy]]:
    proxies: list[Proxy] = []

    def start(server: Server, fault: Fault) -> Proxy:
        proxies.append(Proxy(server, fault))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def nothing_doubled(user: User, model: Script, text: str) -> None:
    (session,) = user.get("/api/chat/sessions").json()["sessions"]
    messages = user.messages(session["id"], branches="all")
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "Hi"),
        ("assistant", text),
    ]
    assert len(model.requests) == 1


FETCH_EVENT_SOURCE = """
async ([url, token, key, body]) => {
  const { fetchEventSource } = await import("/library/index");
  let text = "", names = [];
  await fetchEventSource(url, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...key },
    body: JSON.stringify(body),
    onmessage({ event, data }) {
      names.push(event);
      if (event === "message") text += JSON.parse(data).content;
    },
    onerror() { return 50; },
  });
  return [text, names];
}
"""


@pytest.mark.parametrize("keyed", [True, False], ids=["with a key", "without"])
def test_fetch_event_source_gathers_the_text_once_over_cuts(
    page: "Page",
    sqlite_server: Server,
    upstream: Upstream,
    proxied: Callable[[Server, Fault], Proxy],
    keyed: bool,
) -> None:
    user = quick(sqlite_server.user(), upstream)
    pieces = [f"{number} 字🌍 " for number in range(60)]
    model = upstream.script(*pieces, delay=0.05)

    def cut_thrice(number: int, said: bytes) -> bytes | None:
        return b"" if number <= 3 and said.count(b"event: message") >= 4 else None

    proxy = proxied(sqlite_server, cut_thrice)
    page.route("**/library/*", _library)
    page.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(f"{proxy.base_url}/empty")
    body = {"message": "Hi", "provider": "custom", "model": str(model)}

    url = f"{proxy.base_url}/api/chat/stream"
    key = {"Idempotency-Key": secrets.token_hex(8)} if keyed else {}
    text, names = page.evaluate(FETCH_EVENT_SOURCE, [url, user.access, key, body])

    assert text == "".join(pieces)
    assert names[-1] == "done"
    assert names.count("done") == 1
    assert proxy.posts == 4
    nothing_doubled(user, model, "".join(pieces))


def _library(route: Any) -> None:
    name = urlsplit(route.request.url).path.rpartition("/")[2].removesuffix(".js")
    route.fulfill(body=(LIBRARY / f"{name}.js").read_text(), content_type="text/javascript")


def ask_as_the_openai_sdks_do(proxy: Proxy, user: User, body: dict[str, str]) -> httpx.Response:
    """Send a request, and the very same again on a lost connection, 408, 409, 429 and 5xx, twice at most."""
    headers = {"Authorization": f"Bearer {user.access}", "Idempotency-Key": secrets.token_hex(8)}
    for attempt in range(3):
        with httpx.Client(base_url=proxy.base_url, trust_env=False, timeout=30) as client:
            try:
                response = client.post("/api/chat/stream", json=body, headers=headers)
            except httpx.TransportError:
                pass
            else:
                if response.status_code not in {408, 409, 429} and response.status_code < 500:
                    return response
        time.sleep(0.1 * 2**attempt)
    raise AssertionError("it gave up")


@pytest.mark.parametrize("instead", [BAD_GATEWAY, b""], ids=["502", "connection lost"])
def test_an_sdk_that_tries_again_gets_the_one_answer(
    server: Server, alice: User, upstream: Upstream, proxied: Callable[[Server, Fault], Proxy], instead: bytes
) -> None:
    model = upstream.script("the ", "one ", "answer", delay=0.05)
    proxy = proxied(server, lambda number, said: instead if number <= 2 else None)

    response = ask_as_the_openai_sdks_do(
        proxy, alice, {"message": "Hi", "provider": "custom", "model": model}
    )

    events = [line for line in response.text.splitlines() if line.startswith("data: ")]
    said = [json.loads(line.removeprefix("data: ")).get("content", "") for line in events]
    assert "".join(said) == "the one answer"
    assert proxy.posts == 3
    nothing_doubled(alice, model, "the one answer")
