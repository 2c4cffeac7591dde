"""Who may call the API from a page of another site."""

from collections.abc import Callable

import httpx
import pytest

from tests.server import Server

ALLOWED = "https://chat.example"
BODY = {"message": "Hi", "provider": "demo", "model": "demo"}


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(CORS_ALLOWED_ORIGINS=ALLOWED)


def preflight(server: Server, origin: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,last-event-id",
    }
    with server.client() as client:
        return client.options("/api/chat/stream", headers=asked)


def allowed_origin(response: httpx.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


def test_a_page_of_an_allowed_site_may_ask_and_read(server: Server) -> None:
    asked = preflight(server, ALLOWED)
    assert (asked.status_code, allowed_origin(asked)) == (200, ALLOWED)
    told = {name.strip() for name in asked.headers["access-control-allow-headers"].split(",")}
    assert told >= {"authorization", "content-type", "idempotency-key", "last-event-id"}

    answer = server.user().post("/api/chat/stream", json=BODY, headers={"Origin": ALLOWED})

    assert (answer.status_code, allowed_origin(answer)) == (200, ALLOWED)
    assert answer.headers["access-control-expose-headers"] == "retry-after"
    assert "access-control-allow-credentials" not in answer.headers  # a token, never a cookie
    assert "origin" in answer.headers["vary"]


def test_a_refusal_can_be_read_as_well(server: Server) -> None:
    with server.client(headers={"Origin": ALLOWED}) as client:
        refused = client.post("/api/chat/stream", json=BODY)

    assert (refused.status_code, allowed_origin(refused)) == (401, ALLOWED)


def test_other_sites_and_pages_are_told_nothing(server: Server) -> None:
    assert allowed_origin(preflight(server, "https://elsewhere.example")) is None
    with server.client(headers={"Origin": ALLOWED}) as client:
        assert allowed_origin(client.get("/accounts/login")) is None


def test_nobody_is_let_in_from_elsewhere_unless_told_so(sqlite_server: Server) -> None:
    assert allowed_origin(preflight(sqlite_server, ALLOWED)) is None
    answer = sqlite_server.user().post("/api/chat/stream", json=BODY, headers={"Origin": ALLOWED})
    assert (answer.status_code, allowed_origin(answer)) == (200, None)
