"""The description of the API says what there is, and what there is is as described."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

METHODS = {"get", "post", "put", "patch", "delete"}
# What every answer's stream may say, by the contract.
EVENTS = {"session", "reasoning", "message", "done", "error"}
OPERATIONS = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document, which any warning or any breach of OpenAPI's own schema keeps from being made."""
    out = io.StringIO()
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--format=openapi-json", "--lang=en", stdout=out
    )
    return dict(json.loads(out.getvalue()))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def routes(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, set[str]]]:
    """Give every route under /api, as the document writes it, with the methods it has."""
    for pattern in patterns or get_resolver().url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if path.startswith("/api"):
                yield from routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("/api"):
            view: Any = pattern.callback
            names = getattr(view, "actions", None) or {
                name for name in view.cls.http_method_names if hasattr(view.cls, name)
            }
            path = re.sub(r"<str:(\w+)>", lambda found: "{" + camel(found[1]) + "}", path)
            yield path, set(names) & METHODS


def views_of(patterns: Any, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    """Give every route under /api with its view, where that is one of the API."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if path.startswith("/api"):
                yield from views_of(pattern.url_patterns, path)
        elif hasattr(view := getattr(pattern.callback, "cls", None), "revalidates"):
            yield re.sub(r"<str:(\w+)>", lambda found: "{" + camel(found[1]) + "}", path), view


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def described_events(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schema of each event's data, by the name that the union tells them apart by."""
    stream = operation["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]
    event = resolve(document, stream["$ref"])["properties"]
    union = resolve(document, event["data"]["contentSchema"]["$ref"])
    told_apart = union["discriminator"]
    assert told_apart["propertyName"] == "type"
    assert [{"$ref": reference} for reference in told_apart["mapping"].values()] == union["oneOf"]
    return {name: resolve(document, reference) for name, reference in told_apart["mapping"].items()}


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    whole: Resource[Any] = Resource.opaque(document)
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    registry: Registry[Any] = Registry().with_resource("urn:document", whole)
    return Draft202012Validator(
        absolute, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def test_every_route_is_described(document):
    described = {path: set(methods) for path, methods in document["paths"].items()}

    found = dict(routes())

    assert len(found) > 20
    assert {path: methods - described.get(path, set()) for path, methods in found.items()} == {
        path: set() for path in found
    }
    assert set(described) == set(found) | OPERATIONS


def test_every_event_of_the_stream_is_a_component(document):
    streams = [
        operation
        for _, operation in operations(document)
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]

    assert len(streams) == 5
    for operation in streams:
        events = described_events(document, operation)
        assert set(events) == EVENTS
        for name, event in events.items():
            assert event["properties"]["type"]["const"] == name
            assert "type" in event["required"]
    assert {f"{name.capitalize()}Event" for name in EVENTS} <= set(document["components"]["schemas"])


def test_operations_have_names_summaries_and_known_tags(document):
    tags = {tag["name"] for tag in document["tags"]}

    for name, operation in operations(document):
        assert re.fullmatch(r"[a-z][A-Za-z]+", operation["operationId"]), name
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name


def test_every_key_is_in_camel_case(document):
    keys = {
        key for schema in document["components"]["schemas"].values() for key in schema.get("properties", ())
    }

    assert {key for key in keys if not re.fullmatch(r"[a-z][A-Za-z]*", key)} == set()


def test_every_refusal_has_the_one_shape_and_an_example_that_fits(document):
    errors = 0
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or name == "GET /readyz":
                continue
            content = response["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Error"}, (name, status)
            assert content["examples"], (name, status)
            for example in content["examples"].values():
                assert example["value"]["error"] and re.fullmatch(r"[a-z_]+", example["value"]["code"])
            errors += 1
    assert errors > 100


def test_what_is_not_for_everybody_says_so(document):
    public = {name for name, operation in operations(document) if not any(operation.get("security", [{}]))}

    assert public == {
        "POST /api/auth/register",
        "POST /api/auth/login",
        "POST /api/auth/refresh",
        "POST /api/auth/logout",
        "GET /api/schema",
        "GET /api/docs",
        "GET /healthz",
        "GET /readyz",
    }
    for name, operation in operations(document):
        if name not in public and name.partition(" ")[2] not in OPERATIONS:
            assert operation["security"] == [{"bearer": []}, {"sessionCookie": []}], name
            assert "401" in operation["responses"], name


def test_headers_that_matter_are_described(document):
    stream = document["paths"]["/api/chat/stream"]["post"]
    resume = document["paths"]["/api/chat/sessions/{sessionId}/stream"]["get"]

    assert {"Idempotency-Key"} <= {parameter.get("name") for parameter in stream["parameters"]}
    assert {"Last-Event-ID"} <= {parameter.get("name") for parameter in resume["parameters"]}
    assert "Retry-After" in stream["responses"]["429"]["headers"]
    for name, operation in operations(document):
        if name.partition(" ")[2] not in OPERATIONS | {"/api/docs"}:
            assert {"$ref": "#/components/parameters/AcceptLanguage"} in operation["parameters"], name


def test_what_can_be_asked_for_again_is_described(document):
    described = {
        path: {method for method, operation in methods.items() if "304" in operation["responses"]}
        for path, methods in document["paths"].items()
    }
    views = {path: view for path, view in views_of(get_resolver().url_patterns) if path != "/api/schema"}

    assert {path for path, view in views.items() if view.revalidates} == {
        path for path, methods in described.items() if methods == {"get"}
    }
    limited = document["paths"]["/api/chat/stream"]["post"]["responses"]
    assert all("X-RateLimit-Remaining" in limited[status]["headers"] for status in ("200", "429"))


def test_a_stream_is_as_described(document, sqlite_server):
    events = described_events(document, document["paths"]["/api/chat/stream"]["post"])
    user = sqlite_server.user()

    answer = user.stream("Hello", "demo", "demo")

    assert answer.names[-1] == "done"
    for event in answer:
        validator(document, events[event.name]).validate(event.data)


def test_what_is_read_back_is_as_described(document, sqlite_server):
    user = sqlite_server.user()
    session_id = user.stream("Hello", "demo", "demo").session["sessionId"]

    for path, described in {
        "/api/auth/me": "/api/auth/me",
        "/api/providers": "/api/providers",
        "/api/chat/modes": "/api/chat/modes",
        "/api/chat/sessions": "/api/chat/sessions",
        f"/api/chat/sessions/{session_id}": "/api/chat/sessions/{sessionId}",
        f"/api/chat/sessions/{session_id}/messages": "/api/chat/sessions/{sessionId}/messages",
    }.items():
        answers = document["paths"][described]["get"]["responses"]["200"]["content"]
        validator(document, answers["application/json"]["schema"]).validate(user.get(path).json())


def test_an_undescribed_shape_would_be_noticed(document):
    session = {"$ref": "#/components/schemas/Session"}

    assert not validator(document, session).is_valid({"id": "1"})


@pytest.mark.parametrize(
    ("query", "media_type", "begins"),
    [("", "application/json", "{"), ("?format=yaml", "application/vnd.oai.openapi", "openapi: 3.2.0")],
)
def test_everybody_gets_the_document(sqlite_server, query, media_type, begins):
    with sqlite_server.client() as client:
        response = client.get(f"/api/schema{query}")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media_type)
    assert response.text.startswith(begins)


def test_the_page_can_be_asked_for_its_methods(sqlite_server):
    with sqlite_server.client() as client:
        response = client.options("/api/docs")

    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_the_page_shows_every_operation_under_the_security_policy(document, page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/api/docs")
    page.wait_for_selector(".opblock")

    # The `page` fixture fails for anything that the policy refused.
    assert page.locator(".opblock").count() == len(list(operations(document)))
    assert page.locator(".errors-wrapper").count() == 0
