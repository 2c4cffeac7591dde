"""The description of the API says what there is, and what there is is as described."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from chatproject.openapi_versions import in_version

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
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}, (name, status)
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
    [
        ("", "application/json", "{"),
        ("?format=yaml", "application/vnd.oai.openapi", "openapi: 3.1.0"),
        ("?format=yaml&version=3.1", "application/vnd.oai.openapi", "openapi: 3.1.0"),
        ("?format=yaml&version=3.2", "application/vnd.oai.openapi", "openapi: 3.2.0"),
    ],
)
def test_everybody_gets_the_document(sqlite_server, query, media_type, begins):
    with sqlite_server.client() as client:
        response = client.get(f"/api/schema{query}")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith(media_type)
    assert response.text.startswith(begins)


def test_an_unknown_version_is_refused_by_name(sqlite_server):
    with sqlite_server.client() as client:
        refused = client.get("/api/schema?version=3.0")

    assert refused.status_code == 400
    assert "3.1, 3.2" in refused.json()["fields"]["version"][0]


@pytest.mark.parametrize("version", ["3.1", "3.2"])
def test_the_document_names_the_server_that_gave_it(sqlite_server, version):
    with sqlite_server.client() as client:
        given = client.get(f"/api/schema?version={version}").json()
        elsewhere = client.get(f"/api/schema?version={version}", headers={"Host": "localhost:81"}).json()

    assert given["servers"] == [{"url": sqlite_server.base_url}]
    assert elsewhere["servers"] == [{"url": "http://localhost:81"}]


# --- 3.1, which clients are generated from -----------------------------------------------------------------


@pytest.fixture(scope="module")
def older(document: dict[str, Any]) -> dict[str, Any]:
    """The document in 3.1; it breaks none of the rules of that version."""
    older = in_version(document, "3.1")
    validate_schema(older)
    return older


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(item)


def test_both_versions_describe_the_same_operations(document, older):
    assert document["openapi"] == "3.2.0"
    assert older["openapi"] == "3.1.0"
    assert [name for name, _ in operations(older)] == [name for name, _ in operations(document)]
    assert set(older["components"]["schemas"]) == set(document["components"]["schemas"])


def test_no_name_hides_a_class_of_every_language(older):
    assert {"Error", "Exception", "Object", "Response"}.isdisjoint(older["components"]["schemas"])


def test_older_generators_understand_every_word(older):
    for node in nodes(older["components"]["schemas"]):
        assert "const" not in node
        assert "nullable" not in node  # of 3.0
    for name, operation in operations(older):
        for response in operation["responses"].values():
            media_types = list(response.get("content", {}))
            assert not any("itemSchema" in content for content in response.get("content", {}).values()), name
            # The first one becomes the model that a generated function returns.
            assert "application/json" not in media_types[1:], name
        bodies = operation.get("requestBody", {}).get("content", {"application/json": None})
        assert list(bodies) == ["application/json"], name


def test_a_text_that_may_be_empty_is_one_text(older):
    schemas = older["components"]["schemas"]

    assert schemas["User"]["properties"]["email"] == {
        "type": "string",
        "maxLength": 254,
        "title": "Email address",
    }
    assert schemas["LanguageEnum"]["enum"] == ["zh-hans", "en", ""]
    assert schemas["AskRequest"]["properties"]["provider"]["type"] == ["string", "null"]
    assert {"BlankEnum", "NullEnum"}.isdisjoint(schemas)


def test_events_are_a_union_told_apart_by_their_type(older):
    union = older["components"]["schemas"]["StreamEvent"]

    assert union["discriminator"]["propertyName"] == "type"
    assert set(union["discriminator"]["mapping"]) == EVENTS
    for name, reference in union["discriminator"]["mapping"].items():
        event = resolve(older, reference)
        assert {"$ref": reference} in union["oneOf"]
        assert event["properties"]["type"]["enum"] == [name]
        assert "type" in event["required"]


def test_the_page_shows_every_operation_under_the_security_policy(document, page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/api/docs")
    page.wait_for_selector(".opblock")

    # The `page` fixture fails for anything that the policy refused.
    assert page.locator(".opblock").count() == len(list(operations(document)))
    assert page.locator(".errors-wrapper").count() == 0
