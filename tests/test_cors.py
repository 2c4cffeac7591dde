"""Who may call the API from a page of another site."""

from collections.abc import Iterator

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured

from chatproject.cors import client_headers
from chatproject.env import env_origins
from tests.conftest import end_server, start_server
from tests.server import Server

ALLOWED = "https://chat.example"
BODY = {"message": "Hi", "provider": "demo", "model": "demo"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("cors") / "server", CORS_ALLOWED_ORIGINS=ALLOWED)
    yield server
    end_server(server)


# Headers of this API, of browsers' caches, of tracing, and of the clients of OpenAI and Anthropic.
SENT = {
    *(
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "x-request-id",
        "x-requested-with",
    ),
    *("if-none-match", "cache-control", "traceparent", "tracestate", "sentry-trace", "baggage"),
    *("x-stainless-lang", "x-stainless-package-version", "x-stainless-os", "x-stainless-retry-count"),
}
EXPOSED = {
    *("etag", "retry-after", "x-request-id"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
}


def names(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


def preflight(server: Server, origin: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(sorted(SENT | {"x-other"})),
    }
    with server.client() as client:
        return client.options("/api/chat/stream", headers=asked)


def allowed_origin(response: httpx.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


def test_a_page_of_an_allowed_site_may_ask_and_read(server: Server) -> None:
    asked = preflight(server, ALLOWED)
    assert (asked.status_code, allowed_origin(asked)) == (200, ALLOWED)
    allowed = names(asked.headers["access-control-allow-headers"])
    assert allowed >= SENT
    assert "x-other" not in allowed

    answer = server.user().post("/api/chat/stream", json=BODY, headers={"Origin": ALLOWED})

    assert (answer.status_code, allowed_origin(answer)) == (200, ALLOWED)
    assert names(answer.headers["access-control-expose-headers"]) == EXPOSED
    assert "access-control-allow-credentials" not in answer.headers  # a token, never a cookie
    assert "origin" in answer.headers["vary"]


def test_a_refusal_can_be_read_as_well(server: Server) -> None:
    with server.client(headers={"Origin": ALLOWED}) as client:
        refused = client.post("/api/chat/stream", json=BODY)

    assert (refused.status_code, allowed_origin(refused)) == (401, ALLOWED)


def test_a_refusal_before_django_can_be_read_as_well(server: Server) -> None:
    too_large = b"x" * (3 << 19)
    with server.client(headers={"Origin": ALLOWED}) as client:
        other_host = client.get("/api/auth/me", headers={"Host": "elsewhere.example"})
        refused = client.post("/api/auth/login", content=too_large)
        page = client.post("/accounts/login", content=too_large)

    assert (other_host.status_code, allowed_origin(other_host)) == (400, ALLOWED)
    assert (refused.status_code, allowed_origin(refused)) == (413, ALLOWED)
    assert (page.status_code, allowed_origin(page)) == (413, None)


def test_headers_of_a_client_are_bounded_and_follow_the_pattern() -> None:
    asked = ["X-Stainless-Lang", "x-stainless-", "x-stainless-a b", "x-stainlessx", "authorization"]

    assert client_headers(", ".join(asked)) == ["x-stainless-lang"]
    assert len(client_headers(",".join(f"x-stainless-{n}" for n in range(1000)))) == 32


USABLE = {
    "https://chat.example": "https://chat.example",
    "HTTPS://Chat.Example": "https://chat.example",
    "http://localhost:3000": "http://localhost:3000",
    "http://[::1]:5173": "http://[::1]:5173",
    "capacitor://localhost": "capacitor://localhost",
    "chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop",
}
UNUSABLE = [
    *("*", "null", "chat.example", "localhost:3000", "https://", "file://", "https://chat.example/"),
    *(
        "https://chat.example/app",
        "https://chat.example?a=1",
        "https://chat.example#a",
        "https://a@chat.example",
    ),
    *(
        "https://*.chat.example",
        "https://chat.example:443",
        "http://chat.example:80",
        "https://chat.example:99999",
    ),
    *("https://chat.example https://other.example", "https://聊天.example"),
]


@pytest.mark.parametrize("origin", USABLE)
def test_an_origin_is_read_as_a_browser_sends_it(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", f"https://first.example, {origin}")

    assert env_origins("CORS_ALLOWED_ORIGINS") == ["https://first.example", USABLE[origin]]


@pytest.mark.parametrize("origin", UNUSABLE)
def test_an_unusable_origin_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", f"https://first.example,{origin}")

    with pytest.raises(ImproperlyConfigured, match="CORS_ALLOWED_ORIGINS") as refused:
        env_origins("CORS_ALLOWED_ORIGINS")

    assert repr(origin) in str(refused.value)


def test_only_forms_may_trust_all_subdomains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSRF_TRUSTED_ORIGINS", "https://*.chat.example")

    assert env_origins("CSRF_TRUSTED_ORIGINS", subdomains=True) == ["https://*.chat.example"]


def test_other_sites_and_pages_are_told_nothing(server: Server) -> None:
    assert allowed_origin(preflight(server, "https://elsewhere.example")) is None
    with server.client(headers={"Origin": ALLOWED}) as client:
        assert allowed_origin(client.get("/accounts/login")) is None


def test_nobody_is_let_in_from_elsewhere_unless_told_so(sqlite_server: Server) -> None:
    assert allowed_origin(preflight(sqlite_server, ALLOWED)) is None
    answer = sqlite_server.user().post("/api/chat/stream", json=BODY, headers={"Origin": ALLOWED})
    assert (answer.status_code, allowed_origin(answer)) == (200, None)
