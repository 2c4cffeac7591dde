"""Servers, headers and body fields in the admin."""

import re
from collections.abc import Iterator

import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User
from tests.upstream import Upstream

LIST = "/admin/providers/providerconfig/"
ENTRIES = "/admin/providers/modelentry/"
SECRET = "blue-team-0123456789"
HALL = "/api/providers/custom:hall/config?shared=true"


@pytest.fixture(scope="module")
def administrator(sqlite_server: Server) -> Visitor:
    visitor = Visitor(sqlite_server)
    visitor.sign_in("admin", sqlite_server.environ["ADMIN_PASSWORD"])
    return visitor


@pytest.fixture
def shared_server(administrator: Visitor, sqlite_server: Server, upstream: Upstream) -> Iterator[str]:
    """Add a shared server in the admin, and give the address of its page there."""
    form = {
        "user": "",
        "provider": "custom:",
        "slug": "hall",
        "server_name": "The hall\u202e",
        "protocol": "openai",
        "address": f"{upstream.base_url}/chat/completions",
        "new_key": "sk-of-the-hall-0123456789",
        "new_headers": f"X-Team: {SECRET}",
        "extra_body": '{"enable_thinking": false}',
        "enabled": "on",
    }
    added = administrator.submit(f"{LIST}add/", form)
    assert added.status_code == 302, added.text
    found = re.search(rf"{LIST}\d+/change/", administrator.get(f"{LIST}?q=custom:hall").text)
    assert found
    yield found[0]
    sqlite_server.admin().delete(HALL)


@pytest.fixture
def someone(sqlite_server: Server) -> User:
    return sqlite_server.user()


def test_staff_share_a_server_and_its_headers_are_not_seen(
    administrator: Visitor, shared_server: str, someone: User, upstream: Upstream
) -> None:
    model = upstream.script("Hi")

    answer = someone.stream("Hello", provider="custom:hall", model=model)

    assert answer.text == "Hi"
    request = model.requests[0]
    assert (request.headers["x-team"], request.body["enable_thinking"]) == (SECRET, False)
    page = administrator.get(shared_server).text
    assert "x-team" in page
    assert "The hall" in page
    for seen in (page, administrator.get(LIST).text, someone.get("/api/providers").text):
        assert SECRET not in seen


def test_staff_rename_a_server_and_move_it_only_with_new_secrets(
    administrator: Visitor, shared_server: str, someone: User, upstream: Upstream
) -> None:
    form = {"server_name": "Hall 2", "protocol": "openai", "extra_body": "{}", "enabled": "on"}
    renamed = administrator.submit(shared_server, form | {"address": upstream.base_url})
    moved = administrator.submit(
        shared_server, form | {"address": "http://127.0.0.1:9/v1", "new_key": "sk-x"}
    )

    assert renamed.status_code == 302, renamed.text
    shown = [entry["name"] for entry in someone.get("/api/providers").json()["providers"]]
    assert "Hall 2" in shown
    assert moved.status_code == 200
    assert "extra headers belong to another address" in moved.text
    stored = someone.server.admin().get(HALL).json()
    assert (stored["baseUrl"], stored["headerNames"], stored["extraBody"]) == (
        upstream.base_url,
        ["x-team"],
        {},
    )


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"provider": "custom:", "slug": "Hall"}, "small letters"),
        ({"provider": "custom:", "slug": "new"}, "small letters"),
        ({"provider": "custom:", "slug": ""}, "small letters"),
        ({"provider": "custom:", "slug": "x", "server_name": "\u202e"}, "letters or digits"),
        ({"provider": "openai", "slug": "x"}, "Only a server"),
        ({"provider": "openai", "server_name": "Mine"}, "Only a server"),
        ({"provider": "openai", "new_headers": "Host: a"}, "decides on it itself"),
        ({"provider": "openai", "new_headers": "no colon"}, "name: value"),
        ({"provider": "openai", "extra_body": '{"messages": []}'}, "says this itself"),
        ({"provider": "openai", "extra_body": "[]"}, "JSON object"),
    ],
)
def test_the_rules_of_the_api_hold(administrator: Visitor, form: dict[str, str], told: str) -> None:
    given = {"user": "", "address": "http://127.0.0.1:9/v1", "extra_body": "{}", "enabled": "on"}

    refused = administrator.submit(f"{LIST}add/", given | form)

    assert refused.status_code == 200
    assert told in refused.text


def test_a_models_entry_adds_body_fields_for_a_shared_server_too(
    administrator: Visitor, shared_server: str, someone: User, upstream: Upstream
) -> None:
    model = upstream.script("Hi")
    form = {"provider": "custom:hall", "model": str(model), "extra_body": '{"top_k": 7}'}
    nothing = administrator.submit(f"{ENTRIES}add/", form | {"extra_body": "{}"})
    reserved = administrator.submit(f"{ENTRIES}add/", form | {"extra_body": '{"stream": false}'})

    added = administrator.submit(f"{ENTRIES}add/", form)

    assert "Give at least one value" in nothing.text
    assert "says this itself" in reserved.text
    assert added.status_code == 302, added.text
    someone.stream("Hello", provider="custom:hall", model=model)
    assert model.requests[0].body.items() >= {"top_k": 7, "enable_thinking": False}.items()


def test_servers_are_filtered_by_their_id(administrator: Visitor, someone: User, upstream: Upstream) -> None:
    model = upstream.script("Hi")
    someone.configure("custom:cellar", name="Cellar", baseUrl=upstream.base_url)
    someone.stream("Hello", provider="custom:cellar", model=model)

    sessions = administrator.get("/admin/chat/chatsession/?provider=custom:cellar").text
    configs = administrator.get(f"{LIST}?provider=custom:").text

    assert str(model) in sessions
    assert "?provider=custom%3Acellar" in administrator.get("/admin/chat/chatsession/").text
    assert "Cellar" in configs
    # The conversation is read under the name that its owner gave the server.
    found = re.search(r"/admin/chat/chatsession/[0-9a-f-]{36}/change/", sessions)
    assert found
    assert "Cellar" in administrator.get(found[0]).text
