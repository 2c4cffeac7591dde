"""What makes the server ask a provider: the list of models, and the test."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.server import Server, User
from tests.upstream import Upstream

MODELS = "/api/providers/custom/models"
TEST = "/api/providers/custom/test"


@pytest.fixture
def alice(server: Server, upstream: Upstream) -> User:
    user = server.user()
    user.configure("custom", baseUrl=upstream.base_url, apiKey=f"sk-{user.username}-0123456789")
    return user


@pytest.fixture
def bob(server: Server) -> User:
    return server.user()


def asked_with(upstream: Upstream, key: str) -> int:
    return sum(f"Bearer {key}" == request.headers.get("authorization") for request in upstream.list_requests)


class Keyless(http.server.BaseHTTPRequestHandler):
    """A server that answers questions and has no list of models; it notes every key it is sent."""

    seen: list[str]

    def do_GET(self) -> None:
        self._answer(404, "application/json", b'{"error": {"message": "no such path"}}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunk = b'{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}'
        self._answer(200, "text/event-stream", b"data: " + chunk + b"\n\ndata: [DONE]\n\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another server, and the keys that it was sent."""

    class Handler(Keyless):
        seen: list[str] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", Handler.seen
        server.shutdown()
        thread.join()


def test_models_are_asked_of_the_provider_and_kept(alice: User, bob: User, upstream: Upstream) -> None:
    key = f"sk-{alice.username}-0123456789"
    model = upstream.script("Hi")

    first = alice.get(MODELS)
    unknown = upstream.script("Hi")
    second = alice.get(MODELS)

    assert first.status_code == 200
    assert {"id": str(model)} in first.json()["models"]
    assert second.json() == first.json()
    assert {"id": str(unknown)} not in second.json()["models"]
    # Two processes of one server share a cache, so it was asked once.
    assert asked_with(upstream, key) == 1
    assert (bob.get(MODELS).status_code, bob.get(MODELS).json()["code"]) == (400, "provider_not_configured")


def test_another_key_gets_a_list_of_its_own(alice: User, upstream: Upstream) -> None:
    alice.get(MODELS)
    alice.configure("custom", apiKey=(key := f"sk-{alice.username}-another"))

    assert alice.get(MODELS).status_code == 200
    assert asked_with(upstream, key) == 1


def test_shared_settings_are_tried_where_nothing_of_ones_own_is_given(
    server: Server, bob: User, upstream: Upstream
) -> None:
    # As the page sends a form in which only a default model was chosen.
    form = {"baseUrl": "", "defaultModel": "m", "extraBody": {}}
    path = "/api/providers/perplexity/{}"
    before = bob.post(path.format("test"), json=form)
    admin, shared = server.admin(), path.format("config?shared=true")
    body = {"baseUrl": upstream.base_url, "apiKey": (key := f"sk-shared-{bob.username}")}
    assert admin.put(shared, json=body).status_code == 200
    try:
        tried = bob.post(path.format("test"), json=form)
        refused = bob.post(path.format("test"), json=form | {"baseUrl": upstream.base_url})
    finally:
        admin.delete(shared)

    assert list(before.json()["fields"]) == ["apiKey"]
    assert tried.status_code == 200
    assert asked_with(upstream, key) == 1
    # To an address of one's own the shared key does not go.
    assert list(refused.json()["fields"]) == ["apiKey"]
    assert asked_with(upstream, key) == 1


def test_the_demo_has_models_and_passes_its_test(bob: User) -> None:
    assert {"id": "demo"}.items() <= bob.get("/api/providers/demo/models").json()["models"][0].items()
    assert bob.post("/api/providers/demo/test", json={}).json()["ok"] is True


def test_stored_settings_are_tried(alice: User, upstream: Upstream) -> None:
    response = alice.post(TEST)

    assert response.status_code == 200
    assert set(response.json()) == {"ok", "latencyMs", "models"}
    assert response.json()["ok"] is True
    assert 0 <= response.json()["latencyMs"] < 20_000
    assert asked_with(upstream, f"sk-{alice.username}-0123456789") == 1


def test_settings_can_be_tried_before_they_are_switched_on(alice: User) -> None:
    alice.configure("custom", enabled=False)

    assert alice.post(TEST, json={}).json().get("ok") is True
    assert alice.get(MODELS).json()["code"] == "provider_not_configured"


def test_given_settings_are_tried_and_not_stored(bob: User, upstream: Upstream) -> None:
    key = f"sk-{bob.username}-just-tried"

    response = bob.post(TEST, json={"baseUrl": upstream.base_url, "apiKey": key})

    assert response.json()["ok"] is True
    assert asked_with(upstream, key) == 1
    assert bob.get("/api/providers/custom/config").status_code == 404


def test_a_refused_key_is_the_providers_error(alice: User, upstream: Upstream) -> None:
    key = f"sk-{alice.username}-refused"
    upstream.refuse_key(key)

    tried = alice.post(TEST, json={"apiKey": key}, headers={"Accept-Language": "en"})
    alice.configure("custom", apiKey=key)
    models = alice.get(MODELS)

    assert (tried.status_code, tried.json()["code"]) == (502, "invalid_credentials")
    assert tried.json()["error"] == "The provider refused the API key. Check the key in the settings."
    assert (models.status_code, models.json()["code"]) == (502, "invalid_credentials")
    assert key not in tried.text + models.text + alice.server.log()


def test_a_server_that_is_not_there_is_told(alice: User) -> None:
    response = alice.post(TEST, json={"baseUrl": "http://127.0.0.1:9/v1", "apiKey": "x"})

    assert (response.status_code, response.json()["code"]) == (502, "provider_unavailable")


def test_the_stored_key_is_never_sent_elsewhere(alice: User, elsewhere: tuple[str, list[str]]) -> None:
    url, seen = elsewhere

    refused = alice.post(TEST, json={"baseUrl": url})
    with_its_own = alice.post(TEST, json={"baseUrl": url, "apiKey": "sk-for-elsewhere"})
    without = alice.post(TEST, json={"baseUrl": url, "apiKey": ""})

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["apiKey"])
    assert with_its_own.status_code == without.status_code == 502
    assert set(seen) == {"Bearer sk-for-elsewhere", ""}


def test_a_server_without_a_list_is_asked_a_question(bob: User, elsewhere: tuple[str, list[str]]) -> None:
    url, seen = elsewhere
    bob.configure("custom", baseUrl=url, apiKey="sk-for-elsewhere", defaultModel="m")

    assert bob.post(TEST, json={}).json().get("ok") is True
    assert seen == ["Bearer sk-for-elsewhere"] * 2


@pytest.mark.parametrize("body", [{"apiKey": "a b"}, {"baseUrl": "nowhere"}, {"model": "m"}])
def test_bad_input_is_refused_before_anybody_is_asked(bob: User, body: dict[str, str]) -> None:
    response = bob.post(TEST, json=body)

    assert (response.status_code, list(response.json()["fields"])) == (400, list(body))


def test_what_is_missing_is_told(bob: User) -> None:
    no_address = bob.post(TEST, json={"apiKey": "x"})
    no_key = bob.post("/api/providers/openai/test", json={"baseUrl": "https://api.openai.com/v1"})
    nothing = bob.post("/api/providers/openai/test", json={})

    assert list(no_address.json()["fields"]) == ["baseUrl"]
    assert list(no_key.json()["fields"]) == ["apiKey"]
    assert (nothing.status_code, nothing.json()["code"]) == (400, "provider_not_configured")


def test_staff_try_the_shared_settings(server: Server, bob: User, upstream: Upstream) -> None:
    admin = server.admin()
    path = "/api/providers/{}?shared=true"
    key = f"sk-shared-{bob.username}"
    admin.put(path.format("custom/config"), json={"baseUrl": upstream.base_url, "apiKey": key})
    try:
        assert bob.post(path.format("custom/test"), json={}).status_code == 403
        assert admin.post(path.format("custom/test"), json={}).json()["ok"] is True
        assert bob.get(MODELS).status_code == 200
        assert asked_with(upstream, key) == 2
    finally:
        admin.delete(path.format("custom/config"))


def test_one_may_ask_only_so_often(sqlite_server: Server) -> None:
    user = sqlite_server.user()

    answers = [user.post("/api/providers/demo/test", json={}) for _ in range(21)]

    # The minute may end in the middle of this.
    assert answers[20].status_code == 429 or {answer.status_code for answer in answers} == {200}
    assert [answer.status_code for answer in answers[:20]] == [200] * 20


def test_a_provider_that_says_nothing_ends_in_time(make_server: Callable[..., Server]) -> None:
    silent = threading.Event()

    class Silent(Keyless):
        seen: list[str] = []

        def do_GET(self) -> None:
            silent.wait(30)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.05,))
        thread.start()
        server = make_server(PROVIDER_IDLE_TIMEOUT="1")
        user = server.user()

        response = user.post(TEST, json={"baseUrl": f"http://127.0.0.1:{upstream.server_port}/v1"})

        silent.set()
        upstream.shutdown()
        thread.join()
    assert (response.status_code, response.json()["code"]) == (504, "provider_timeout")


KEY = "MySecretPassphrase.With.Dots.Zq7"
NESTED = json.loads("[" * 900 + "]" * 900)
NINES = "9" * 5000


class Hostile(http.server.BaseHTTPRequestHandler):
    """A server that answers every request alike, and badly."""

    status = 200
    body = b""
    headers_sent: dict[str, str]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers_sent}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hostile() -> Iterator[tuple[str, type[Hostile]]]:
    class Handler(Hostile):
        headers_sent = {}

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", Handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"message": f"try again in {NINES}h"}),
        (429, {"message": f"try again in {'9' * 400}h1.5s"}),
        (500, {"message": NESTED}),
        (400, {"code": f"c-{KEY}", "message": f"denied for {KEY}"}),
        (400, {"details": [{"retryDelay": f"{NINES}s"}], "message": "\ud800"}),
    ],
)
def test_whatever_an_error_says_it_is_the_providers(
    bob: User, hostile: tuple[str, type[Hostile]], status: int, error: dict[str, object]
) -> None:
    url, handler = hostile
    handler.status, handler.body = status, json.dumps({"error": error}).encode()
    bob.configure("custom", baseUrl=url, apiKey=KEY)
    since = len(bob.server.log())

    answers = [bob.post(TEST, json={}), bob.get(MODELS)]

    assert all(answer.status_code in (502, 503) for answer in answers)
    assert all(int(answer.headers.get("Retry-After", 1)) <= 3600 for answer in answers)
    written = bob.server.log()[since:]
    assert "custom, asked for" in written
    assert KEY.lower() not in written.lower()
    # It is no fault of this server's.
    assert "Bad Gateway" not in written and "Traceback" not in written and "ERROR" not in written


def test_names_that_nobody_could_show_or_keep_are_left_out(
    bob: User, hostile: tuple[str, type[Hostile]]
) -> None:
    url, handler = hostile
    listed = [{"id": "\ud800"}, {"id": "x" * 201}, {"id": ""}, {"id": "ok", "name": "\ud800" + "n" * 5000}]
    handler.body = json.dumps({"data": listed}).encode()
    bob.configure("custom", baseUrl=url, apiKey=KEY)

    models = bob.get(MODELS)

    assert models.status_code == 200
    assert [model["id"] for model in models.json()["models"]] == ["ok"]
    assert models.json()["models"][0]["name"] == "\ufffd" + "n" * 199


def test_a_list_is_kept_only_so_far(bob: User, hostile: tuple[str, type[Hostile]]) -> None:
    url, handler = hostile
    listed = [{"id": f"{number:0200}", "name": "字" * 1000} for number in range(900)]
    handler.body = json.dumps({"data": listed}, ensure_ascii=False).encode()
    bob.configure("custom", baseUrl=url, apiKey=KEY)
    wide = bob.get(MODELS)
    handler.body = json.dumps({"data": [{"id": f"m-{number}"} for number in range(90_000)]}).encode()
    bob.configure("custom", baseUrl=url, apiKey=f"{KEY}2")
    long = bob.get(MODELS)
    handler.body = b" " * (5 << 20)
    bob.configure("custom", baseUrl=url, apiKey=f"{KEY}3")
    huge = bob.get(MODELS)

    assert len(wide.content) < 1 << 20
    assert len(wide.json()["models"]) > 500
    assert len(long.json()["models"]) == 2000
    assert (huge.status_code, huge.json()["code"]) == (502, "answer_too_large")


@pytest.mark.parametrize("url", ["http://a..b", f"http://{'a' * 64}.example", "http://xn--a"])
def test_a_host_name_that_cannot_be_looked_up_is_refused(bob: User, url: str) -> None:
    tried = bob.post(TEST, json={"baseUrl": url, "apiKey": KEY})

    assert (tried.status_code, tried.json()["code"]) == (400, "invalid")
    assert list(tried.json()["fields"]) == ["baseUrl"]


@pytest.mark.parametrize("path", ["config", "test"])
def test_a_misspelt_field_is_told_as_far_as_it_can_be(bob: User, path: str) -> None:
    names = {"\ud800": "x", "n" * 9999: "x", **{f"z{number:03}": "x" for number in range(500)}}
    body = json.dumps(names).encode()
    method = "PUT" if path == "config" else "POST"

    answer = bob.request(
        method, f"/api/providers/custom/{path}", content=body, headers={"Content-Type": "application/json"}
    )
    alone = bob.request(
        method,
        f"/api/providers/custom/{path}",
        content=b'{"\\ud800":"x"}',
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status_code, len(answer.json()["fields"])) == (400, 20)
    assert max(map(len, answer.json()["fields"])) == 100
    assert (alone.status_code, list(alone.json()["fields"])) == (400, ["\ufffd"])
