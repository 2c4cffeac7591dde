"""JSON is not sent twice, nor longer than it has to be."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from chatproject import limits
from chatproject.conditional import accepts_gzip, finish
from chatproject.errors import Throttled
from tests.server import Server, User

LONG = b'{"a": "%s"}' % (b"word " * 1000)


@pytest.fixture(scope="module")
def user(sqlite_server: Server) -> User:
    return sqlite_server.user()


@pytest.fixture(scope="module")
def session(user: User) -> str:
    return str(user.stream("Hello").session["sessionId"])


def paths(session: str) -> list[str]:
    own = f"/api/chat/sessions/{session}"
    return ["/api/chat/sessions", own, f"{own}/messages", "/api/providers", "/api/chat/modes", "/api/schema"]


# --- the same again ------------------------------------------------------------------------------------


def test_what_a_client_has_is_not_sent_again(user: User, session: str) -> None:
    for path in paths(session):
        first = user.get(path)
        again = user.get(path, headers={"If-None-Match": first.headers["etag"]})

        assert first.status_code == 200, path
        assert first.headers["cache-control"] == "private, no-cache"
        assert {"Accept-Encoding", "Authorization", "Cookie"} <= set(first.headers["vary"].split(", "))
        assert (again.status_code, again.content) == (304, b""), path
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name], (path, name)
        assert not {"content-length", "content-type", "content-encoding"} & set(again.headers)


def test_what_has_changed_is_sent(user: User, session: str) -> None:
    first = user.get("/api/chat/sessions")
    user.put(f"/api/chat/sessions/{session}/title", json={"title": "Another"})

    again = user.get("/api/chat/sessions", headers={"If-None-Match": first.headers["etag"]})

    assert again.status_code == 200
    assert again.json()["sessions"][0]["title"] == "Another"


def test_a_tag_is_no_way_around_a_sign_in(sqlite_server: Server, user: User, session: str) -> None:
    path = f"/api/chat/sessions/{session}/messages"
    headers = {"If-None-Match": user.get(path).headers["etag"]}

    with sqlite_server.client() as nobody:
        assert nobody.get(path, headers=headers).status_code == 401
    assert sqlite_server.user().get(path, headers=headers).status_code == 404


def finished(body: bytes = LONG, *, accepts: str = "", known: str = "", **options: Any) -> HttpResponse:
    request = RequestFactory().get("/", HTTP_ACCEPT_ENCODING=accepts, HTTP_IF_NONE_MATCH=known)
    response = HttpResponse(body, content_type=options.pop("content_type", "application/json"))
    return finish(request, response, **{"revalidates": True, "compresses": True} | options)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '{} , W/"other"', "*"])
def test_tags_are_compared_weakly_and_one_by_one(form: str) -> None:
    tag = finished().headers["ETag"]

    assert finished(known=form.format(tag.removeprefix("W/"))).status_code == 304
    assert finished(b"{}", known='"other"').status_code == 200
    assert finished(LONG + b" ", known=tag).status_code == 200


# --- compressed ----------------------------------------------------------------------------------------


def test_a_long_body_is_compressed_where_the_client_takes_that(user: User) -> None:
    plain = user.get("/api/providers", headers={"Accept-Encoding": "identity"})
    with user.client() as client, client.stream("GET", "/api/providers") as response:
        raw = b"".join(response.iter_raw())

    assert "content-encoding" not in plain.headers
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(raw) < len(plain.content) / 2
    assert gzip.decompress(raw) == plain.content
    assert response.headers["etag"] == plain.headers["etag"]


def test_a_stream_is_never_compressed(user: User) -> None:
    with user.streaming("Hi", headers={"Accept-Encoding": "gzip"}) as live:
        assert "content-encoding" not in live.response.headers
        assert live.rest().names[-1] == "done"


def test_tokens_are_never_compressed(sqlite_server: Server) -> None:
    # The name, which the client chooses, comes back beside them.
    body = {"username": "n" * 150, "password": "correct-horse-battery"}
    with sqlite_server.client() as client:
        for path in ("register", "login"):
            response = client.post(f"/api/auth/{path}", json=body, headers={"Accept-Encoding": "gzip"})

            assert "access" in response.json()
            assert "content-encoding" not in response.headers


def test_short_or_foreign_bodies_stay_as_they_are() -> None:
    assert finished(accepts="gzip").headers["Content-Encoding"] == "gzip"
    for response in (
        finished(b"{}", accepts="gzip"),
        finished(accepts="gzip", content_type="image/png"),
        finished(accepts="gzip", compresses=False),
        finished(accepts="br"),
    ):
        assert "Content-Encoding" not in response.headers


def test_the_length_says_little_about_the_body() -> None:
    assert len({len(finished(accepts="gzip").content) for _ in range(20)}) > 5


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("GZIP", True),
        ("*", True),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("notgzip", False),
        ("gzip;q=often", False),
        ("", False),
    ],
)
def test_what_a_client_takes_is_read_as_it_is_meant(header: str, takes: bool) -> None:
    assert accepts_gzip(header) is takes


# --- limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", ["database", "redis"])
def test_a_limited_request_says_what_is_left(
    make_server: Callable[..., Server], request: pytest.FixtureRequest, counter: str
) -> None:
    redis = {"REDIS_URL": request.getfixturevalue("redis_url")} if counter == "redis" else {}
    server = make_server(CHAT_RATE_LIMIT="3/h", LOGIN_RATE_LIMIT="5/h", **redis)
    user = server.user()
    body = {"message": "Hi", "provider": "demo", "model": "demo"}

    got = [user.post("/api/chat/stream", json=body) for _ in range(4)]
    signed_in = user.post("/api/auth/login", json={"username": user.username, "password": user.password})

    assert [response.status_code for response in got] == [200, 200, 200, 429]
    assert [response.headers["x-ratelimit-remaining"] for response in got] == ["2", "1", "0", "0"]
    assert {response.headers["x-ratelimit-limit"] for response in got} == {"3"}
    assert all(1 <= int(response.headers["x-ratelimit-reset"]) <= 3600 for response in got)
    assert got[3].headers["x-ratelimit-reset"] == got[3].headers["retry-after"]
    # Of several limits the one that is nearest.
    assert (signed_in.headers["x-ratelimit-limit"], signed_in.headers["x-ratelimit-remaining"]) == ("5", "4")
    refused = user.post("/api/chat/stream", json={})
    for response in (refused, user.get("/api/chat/modes")):
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]


def test_a_counter_that_does_not_answer_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {"count": 0, "limit": 0, "should_limit": True, "time_left": -1}
    monkeypatch.setattr(limits, "get_usage", lambda *args, **kwargs: usage)
    request = RequestFactory().get("/")

    with pytest.raises(Throttled):
        limits.count(request, group="g", key="k", rate="1/m")

    assert limits.headers_of(request, 429)["X-RateLimit-Remaining"] == "0"
