"""Headers and body fields that settings add to every request."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from providers import bodies
from providers.base import ChatMessage, ChatRequest
from providers.headers import fit
from providers.models import ProviderConfig
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.services import Changes, alter, checked_body, checked_headers, headers_from_lines

from .reading import over_http
from .wire_server import plain, serving

SECRET = "blue-0123456789-team"
EXTRA = {
    "model": "another",
    "stream": False,
    "enable_thinking": False,
    "options": {"num_gpu": 1, "temperature": 9},
    "generationConfig": {"topK": 1, "temperature": 9},
}
SPOKEN = ["openai", "openai-responses", "anthropic", "gemini", "ollama", "azure"]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.mark.parametrize(
    "name",
    [
        "accept-encoding",
        "authorization",
        "api-key",
        "connection",
        "content-length",
        "Content-Type",
        "content-encoding",
        "cookie",
        "expect",
        "forwarded",
        "x_forwarded_for",
        "content_length",
        "Proxy",
        "HOST",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "Transfer-Encoding",
        "upgrade",
        "via",
        "x-api-key",
        "X-Forwarded-For",
        "x-forwarded-host",
        "x-goog-api-key",
        "x-http-method-override",
        "x-real-ip",
        "metadata-flavor",
        "X-aws-ec2-metadata-token",
        "if-none-match",
        "sec-fetch-mode",
        "range",
        "set-cookie",
    ],
)
def test_what_the_service_decides_itself_cannot_be_added(name):
    with pytest.raises(ValidationError, match="itself"):
        checked_headers({f" {name} ": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("x team", "x"),
        ("x-team:", "x"),
        ("x-tëam", "x"),
        ("x\r\nhost", "x"),
        ("x" * 101, "x"),
        ("x-team", "a\r\nhost: b"),
        ("x-team", "a\nb"),
        ("x-team", "a\0b"),
        ("x-team", "a\tb"),
        ("x-team", "蓝"),
        ("x-team", "\ud800"),
        ("x-team", "x" * 2001),
    ],
)
def test_what_no_header_can_carry_is_refused_and_its_value_is_not_repeated(name, value):
    with pytest.raises(ValidationError) as raised:
        checked_headers({name: value})

    assert "host: b" not in str(raised.value)


def test_headers_have_small_names_and_trimmed_values():
    assert checked_headers(
        {" X-Team ": " blue \n", "HTTP-Referer": "https://a.example", "User-Agent": "me"}
    ) == {
        "x-team": "blue",
        "http-referer": "https://a.example",
        "user-agent": "me",
    }
    assert headers_from_lines("X-Team: a: b\n\n  \nX-Org:1\r\nX-Gone:") == {
        "X-Team": " a: b",
        "X-Org": "1",
        "X-Gone": "",
    }
    for twice in ({"x-a": "1", "X-A": "2"}, headers_from_lines("x-a: 1\nx-b: 2") | {"X-B ": "3"}):
        with pytest.raises(ValidationError, match="twice"):
            checked_headers(twice)
    for lines in ("x-a: 1\nX-A: 2", "no colon"):
        with pytest.raises(ValidationError):
            headers_from_lines(lines)


def test_headers_are_few_and_small():
    assert fit({f"x-{n}": "v" for n in range(20)})
    assert not fit({f"x-{n}": "v" for n in range(21)})
    assert not fit({f"x-{n}": "v" * 2000 for n in range(4)})


def altered(row: ProviderConfig, **changes: Any) -> dict[str, str]:
    alter(row, Changes(**changes))
    return row.headers_for("https://8.8.8.8")


def test_headers_change_one_by_one_and_only_their_names_are_seen():
    row = ProviderConfig(provider="custom", base_url="https://8.8.8.8/v1", user_id=7)

    assert altered(row, headers={"x-a": "1", "x-b": "2"}) == {"x-a": "1", "x-b": "2"}
    assert altered(row, headers={"x-b": "", "x-c": "3"}) == {"x-a": "1", "x-c": "3"}
    assert altered(row, default_model="m") == {"x-a": "1", "x-c": "3"}
    assert row.header_names == ["x-a", "x-c"]
    assert b"x-a" not in bytes(row.headers)
    with pytest.raises(ValidationError):
        altered(row, headers={f"x-{n}": "v" for n in range(19)})
    assert altered(row, headers={"x-a": "", "x-c": ""}) == {}
    assert (row.headers, row.header_names) == (b"", [])


def test_headers_do_not_follow_to_another_origin():
    row = ProviderConfig(provider="custom", base_url="https://8.8.8.8/v1", user_id=7)
    altered(row, headers={"x-a": "1", "x-b": "2"})

    for headers in (None, {"x-a": "3"}):
        with pytest.raises(ValidationError) as raised:
            alter(row, Changes(base_url="https://8.8.4.4/v1", headers=headers))
        assert list(raised.value.message_dict) == ["headers"]
        row.base_url = "https://8.8.8.8/v1"
    alter(row, Changes(base_url="https://8.8.4.4/v1", headers={"x-a": "3", "x-b": ""}))
    assert row.headers_for("https://8.8.4.4") == {"x-a": "3"}


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        "x",
        {"a": "x" * 4000},
        {"a": float("nan")},
        {"a": "\ud800"},
        json.loads('{"a":' * 9 + "1" + "}" * 9),
        {"messages": []},
        {"model": "m", "a": 1},
        {"stream": False},
        {"systemInstruction": {}},
    ],
    ids=lambda fields: str(fields)[:20].encode("ascii", "replace").decode(),
)
def test_body_fields_are_a_small_object_without_what_the_service_says_itself(fields):
    with pytest.raises(ValidationError):
        checked_body(fields)


def test_body_fields_of_any_kind_are_kept():
    fields = {"enable_thinking": False, "名": ["字", 1.5, None], "in": {"deep": {"er": {}}}}

    assert checked_body(fields) == fields
    assert bodies.merged(fields, {"in": {"x": 1}, "enable_thinking": True}) == {
        "enable_thinking": True,
        "名": ["字", 1.5, None],
        "in": {"deep": {"er": {}}, "x": 1},
    }


async def sent(provider: str, **extras: Any) -> Any:
    """Return the requests for an answer and for the models, and what went wrong with the answer."""
    refusal = plain(
        400, json.dumps({"error": {"message": f"team {SECRET} and sk-0123456789 are unknown"}}).encode()
    )
    async with serving(refusal) as server:
        access = ProviderAccess(PROVIDERS[provider], server.url, "sk-0123456789", **extras)
        adapter = adapter_for(access)
        question = ChatRequest("m", (ChatMessage("user", "Hi"),), extra_body=access.extra_body)
        got = await over_http(adapter, question)
        with pytest.raises(Exception) as listed:
            await adapter.list_models()
        return server.requests, f"{got.error} {got.error.detail} {listed.value}"


@pytest.mark.parametrize("provider", SPOKEN)
async def test_every_protocol_sends_them_and_what_it_says_itself_wins(provider):
    headers = {"x-team": SECRET, "user-agent": "me", "authorization": "stolen", "x-api-key": "stolen"}
    own = {"api-key", "x-goog-api-key"} if provider in ("azure", "gemini") else set()

    requests, told = await sent(provider, headers=headers, extra_body=EXTRA)

    for request in requests:
        assert request.headers["x-team"] == SECRET
        assert request.headers["user-agent"] == "me"
        key = "sk-0123456789"
        assert key in {request.headers.get(name, "").removeprefix("Bearer ") for name in own | set(headers)}
    asked = next(request.json for request in requests if request.method == "POST")
    assert asked["enable_thinking"] is False
    if provider != "gemini":  # which has the model in its path
        assert (asked["model"], asked["stream"]) == ("m", True)
    if provider == "ollama":
        assert asked["options"] == {"num_gpu": 1, "temperature": 0.7}
    if provider == "gemini":
        assert asked["generationConfig"].items() >= {"topK": 1, "temperature": 0.7}.items()
    # What the provider repeats of them is as secret as the key.
    assert SECRET not in told
    assert "sk-0123456789" not in told


async def test_without_them_a_request_is_as_it_was():
    requests, _ = await sent("openai")

    assert set(requests[0].json) == {"model", "messages", "stream", "stream_options", "temperature"}
    assert set(requests[0].headers) == {
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "user-agent",
        "content-type",
        "authorization",
        "content-length",
    }
