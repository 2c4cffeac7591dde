"""Clients generated from the API's description talk to the running service."""

import importlib
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests import services
from tests.conftest import unavailable
from tests.generated_clients import Workshop, finish, python_client
from tests.server import Server

PASSWORD = "correct-horse-battery"


@pytest.fixture
def workshop(sqlite_server: Server) -> Iterator[Workshop]:
    """A folder with the description as the running service gives it to everybody."""
    with sqlite_server.client() as client:
        yield Workshop(f"clients-{uuid4().hex[:8]}", client.get("/api/schema").content)


@pytest.fixture(scope="module")
def streamed(sqlite_server: Server) -> list[dict[str, Any]]:
    """The data of the events of a real stream."""
    return [event.data for event in sqlite_server.user().stream("Hello", "demo", "demo")]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["content"] for event in events if event["type"] == "message")


def test_generators_from_npm_make_working_clients(
    workshop: Workshop, sqlite_server: Server, streamed: list[dict[str, Any]]
) -> None:
    try:
        workshop.add_npm_packages()
    except services.Unavailable as exc:
        unavailable(str(exc))
    where = {"BASE_URL": sqlite_server.base_url}
    validated = workshop.start("node", "validate.mjs")
    zod = workshop.start("openapi-zod-client", "openapi.json", "-o", "generated/zod.ts", "--export-schemas")
    orval = workshop.start("orval", "--config", "orval.config.cjs", **where)

    # swagger-parser
    assert json.loads(finish(validated))["version"] == "3.1.0"

    for generating, source in ((zod, "zod_client.ts"), (orval, "orval_client.ts")):
        finish(generating)
        name = f"generated-{uuid4().hex[:8]}"
        given = where | {"NAME": name, "PASSWORD": PASSWORD, "EVENTS": json.dumps(streamed)}
        said = workshop.run_program(source, **given)

        assert said["refused"] == "invalid"
        assert said["titles"] == ["Hello"]
        assert said["messages"] == [["user", "Hello"], ["assistant", said["answer"]]]
        assert said["streamed"] == text_of(streamed) != ""
        # Only these two can tell: the one answers with a status, the other one checks what it is given.
        assert said.get("missing") in {None, "session_not_found"}
        assert said.get("nonsense") in {None, False}
    # The compiler tells the events of a stream apart by their type.
    workshop.run("tsc", "--project", "tsconfig.json")


def test_openapi_python_client_makes_a_working_client(
    workshop: Workshop, sqlite_server: Server, streamed: list[dict[str, Any]]
) -> None:
    try:
        chat = python_client(workshop)
    except services.Unavailable as exc:
        unavailable(str(exc))
    models = importlib.import_module("python_chat.models")

    def call(operation: str, client: Any, *args: Any, **given: Any) -> Any:
        return importlib.import_module(f"python_chat.api.{operation}").sync(*args, client=client, **given)

    def client(kind: Any, **given: Any) -> Any:
        return kind(base_url=sqlite_server.base_url, httpx_args={"trust_env": False}, **given)

    credentials = {"username": f"generated-{uuid4().hex[:8]}", "password": PASSWORD}
    with client(chat.Client) as anybody:
        registered = call("accounts.register", anybody, body=models.RegisterRequest(**credentials))
        refused = call("accounts.login", anybody, body=models.LoginRequest(**credentials | {"password": "x"}))
    with client(chat.AuthenticatedClient, token=registered.access) as alice:
        asked = models.AskRequest(message="Hello", provider="demo", model="demo", stream=False)
        answer = call("answers.stream_answer", alice, body=asked)
        sessions = call("conversations.list_sessions", alice)
        messages = call("messages.list_messages", alice, answer.session_id)

    assert registered.user.username == credentials["username"]
    assert (registered.user.email, registered.user.language) == ("", "")
    assert refused.code == "invalid_login"
    assert [session.title for session in sessions.sessions] == ["Hello"]
    assert [(message.role, message.content) for message in messages.messages] == [
        ("user", "Hello"),
        ("assistant", answer.content),
    ]
    events = [getattr(models, f"{data['type'].capitalize()}Event").from_dict(data) for data in streamed]
    assert [event.to_dict() for event in events] == streamed
