"""Servers of one's own over HTTP: everything that takes a provider's id takes theirs."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server import Server, User
from tests.upstream import Upstream

LAB = "custom:lab"
PATH = f"/api/providers/{LAB}"
KEY = "sk-lab-0123456789abcdef"
TEAM = "blue-team-0123456789"


@pytest.fixture
def alice(server: Server, upstream: Upstream) -> User:
    user = server.user()
    user.configure(LAB, name="实验室 GPU", baseUrl=upstream.base_url, apiKey=KEY, headers={"X-Team": TEAM})
    return user


@pytest.fixture(scope="module")
def bob(sqlite_server: Server) -> User:
    return sqlite_server.user()


def ids(user: User) -> list[str]:
    return [entry["id"] for entry in user.get("/api/providers").json()["providers"]]


def test_a_server_answers_is_listed_and_is_found_by_its_id(alice: User, upstream: Upstream) -> None:
    model = upstream.script("Hi from the lab")
    alice.put(f"{PATH}/config", json={"defaultModel": str(model)})

    answer = alice.stream("Hello", provider=LAB, model=model)

    request = model.requests[0]
    assert answer.text == "Hi from the lab"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-team"] == TEAM
    entry = next(one for one in alice.get("/api/providers").json()["providers"] if one["id"] == LAB)
    assert (
        entry.items()
        >= {
            "name": "实验室 GPU",
            "protocol": "openai",
            "configured": True,
            "shared": False,
            "requiresKey": False,
            "defaultModel": str(model),
        }.items()
    )
    once = {"Idempotency-Key": "the-same-question"}
    session = {"sessionId": answer.session["sessionId"], "headers": once}
    repeats = [alice.stream("Again", provider=LAB, model=model, **session) for _ in range(2)]
    assert repeats[0].done["messageId"] == repeats[1].done["messageId"]
    assert len(model.requests) == 2
    found = alice.get("/api/chat/sessions", params={"provider": LAB}).json()["sessions"]
    assert [session["provider"] for session in found] == [LAB]
    assert alice.get("/api/chat/sessions?provider=custom").json()["sessions"] == []
    assert alice.messages(found[0]["id"])[-1]["provider"] == LAB
    with alice.opened("POST", f"/api/chat/sessions/{found[0]['id']}/regenerate", json={}) as again:
        assert again.rest().text == "Hi from the lab"


@pytest.mark.parametrize("spelt", [LAB, "custom%3Alab", "custom%3alab"])
def test_its_id_may_be_spelt_either_way_in_a_path(alice: User, upstream: Upstream, spelt: str) -> None:
    model = upstream.script("Hi")

    config = alice.get(f"/api/providers/{spelt}/config").json()
    listed = alice.get(f"/api/providers/{spelt}/models")
    tested = alice.post(f"/api/providers/{spelt}/test", json={})

    assert (config["provider"], config["name"], config["headerNames"]) == (LAB, "实验室 GPU", ["x-team"])
    assert TEAM not in str(config)
    assert {"id": str(model)} in listed.json()["models"]
    assert {"id": str(model)} in tested.json()["models"]
    assert upstream.list_requests[-1].headers["x-team"] == TEAM
    assert upstream.list_requests[-1].headers["authorization"] == f"Bearer {KEY}"


def test_anothers_server_is_not_there(alice: User, bob: User, upstream: Upstream) -> None:
    other = alice.server.user()
    calls = [("GET", "config"), ("DELETE", "config"), ("GET", "models"), ("POST", "test")]
    for path in (PATH, "/api/providers/custom:never-was"):
        answers = [other.request(method, f"{path}/{what}") for method, what in calls]
        assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "provider_unknown")}
    for provider in (LAB, "custom:never-was", "custom:", "custom:LAB"):
        body = {"message": "Hi", "provider": provider, "model": "m"}
        refused = [other.post("/api/chat/stream", json=body), other.post("/api/chat/sessions", json=body)]
        assert {answer.status_code for answer in refused} == {400}
        assert refused[0].json()["code"] == "provider_unknown"
    assert LAB not in ids(other)
    assert LAB in ids(alice)


def test_a_server_that_is_deleted_is_gone_and_its_conversations_stay(alice: User, upstream: Upstream) -> None:
    model = upstream.script("Hi")
    session = alice.stream("Hello", provider=LAB, model=model).session["sessionId"]

    assert alice.delete(f"{PATH}/config").status_code == 204
    assert alice.delete(f"{PATH}/config").status_code == 404
    refused = alice.post(f"/api/chat/sessions/{session}/regenerate", json={})
    assert (refused.status_code, refused.json()["code"]) == (400, "provider_unknown")
    assert [message["content"] for message in alice.messages(session)] == ["Hello", "Hi"]
    # A server that is added again has nothing of the deleted one.
    again = alice.put(f"{PATH}/config", json={"baseUrl": upstream.base_url}).json()
    assert (again["name"], again["keyHint"], again["headerNames"]) == ("lab", "", [])


def test_a_shared_server_serves_everybody_and_is_its_staffs_alone(server: Server, upstream: Upstream) -> None:
    admin, user, model = server.admin(), server.user(), upstream.script("Hi")
    path = "/api/providers/custom:shared/config?shared=true"
    body = {"name": "Everyone's", "baseUrl": upstream.base_url, "apiKey": KEY, "headers": {"x-team": TEAM}}
    assert user.put(path, json=body).status_code == 403

    assert admin.put(path, json=body).status_code == 200
    try:
        assert user.stream("Hello", provider="custom:shared", model=model).text == "Hi"
        assert model.requests[0].headers["x-team"] == TEAM
        entry = next(
            one for one in user.get("/api/providers").json()["providers"] if one["id"] == "custom:shared"
        )
        assert (entry["name"], entry["shared"], entry["configured"]) == ("Everyone's", True, True)
        assert upstream.base_url not in user.get("/api/providers").text
        assert user.get("/api/providers/custom:shared/config").status_code == 404
        assert user.post("/api/providers/custom:shared/test", json={}).json()["ok"] is True
        # A key of one's own does not go to its address, nor its key to another's.
        for given in ({"apiKey": "sk-mine-0123456789"}, {"headers": {"x-a": "1"}}):
            refused = user.post("/api/providers/custom:shared/test", json=given)
            assert list(refused.json()["fields"]) == ["baseUrl"]
        elsewhere = user.post("/api/providers/custom:shared/test", json={"baseUrl": upstream.base_url})
        assert elsewhere.json()["ok"] is True
        assert "authorization" not in upstream.list_requests[-1].headers
        assert "x-team" not in upstream.list_requests[-1].headers
    finally:
        assert admin.delete(path).status_code == 204
    assert "custom:shared" not in ids(user)


@pytest.mark.parametrize(
    ("provider", "body", "field"),
    [
        ("custom:LAB", {"baseUrl": "http://127.0.0.1:9"}, "provider"),
        ("custom:", {"baseUrl": "http://127.0.0.1:9"}, "provider"),
        ("custom:new", {"baseUrl": "http://127.0.0.1:9"}, "provider"),
        ("custom:x", {}, "baseUrl"),
        ("custom:x", {"baseUrl": "http://127.0.0.1:9", "protocol": "azure"}, "protocol"),
        ("custom:x", {"baseUrl": "http://127.0.0.1:9", "name": "\u202e"}, "name"),
        ("custom:x", {"baseUrl": "http://127.0.0.1:9", "name": None}, "name"),
        ("openai", {"name": "Mine"}, "name"),
        ("openai", {"headers": {"Host": "a"}}, "headers"),
        ("openai", {"headers": {"x-a": "b\r\nhost: c"}}, "headers"),
        ("openai", {"headers": {"x-a": 7}}, "headers"),
        ("openai", {"headers": {"x-a": ["b"]}}, "headers"),
        ("openai", {"headers": [["x-a", "b"]]}, "headers"),
        ("openai", {"headers": {f"x-{n}": "v" for n in range(21)}}, "headers"),
        ("openai", {"extraBody": "{}"}, "extraBody"),
        ("openai", {"extraBody": {"messages": []}}, "extraBody"),
        ("openai", {"extraBody": None}, "extraBody"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(bob: User, provider: str, body: dict, field: str) -> None:
    refused = bob.put(f"/api/providers/{provider}/config", json=body)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert list(refused.json()["fields"]) == [field]
    assert bob.get(f"/api/providers/{provider}/config").status_code == 404


def test_what_was_given_can_be_sent_back(alice: User) -> None:
    given = alice.get(f"{PATH}/config").json()

    returned = alice.put(f"{PATH}/config", json=given)

    assert returned.status_code == 200
    assert returned.json() | {"updatedAt": given["updatedAt"]} == given


def test_headers_go_to_the_configured_origin_alone(alice: User, upstream: Upstream) -> None:
    elsewhere = {"baseUrl": "http://127.0.0.1:9/v1", "apiKey": "sk-for-elsewhere-42"}
    for method, path in (("PUT", "config"), ("POST", "test")):
        refused = alice.request(method, f"{PATH}/{path}", json=elsewhere)
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["headers"])
    assert alice.get(f"{PATH}/config").json()["baseUrl"] == upstream.base_url
    moved = alice.put(f"{PATH}/config", json=elsewhere | {"headers": {"X-TEAM": None}})
    assert (moved.status_code, moved.json()["headerNames"]) == (200, [])


def test_body_fields_reach_the_provider(alice: User, upstream: Upstream) -> None:
    model = upstream.script("Hi")
    fields = {"enable_thinking": False, "temperature": 9, "名": ["字"]}

    stored = alice.put(f"{PATH}/config", json={"extraBody": fields})
    alice.stream("Hello", provider=LAB, model=model)

    assert stored.json()["extraBody"] == fields
    body = model.requests[0].body
    assert (body["enable_thinking"], body["名"], body["temperature"]) == (False, ["字"], 0.7)
    assert body["messages"][-1] == {"role": "user", "content": "Hello"}


def test_unsaved_settings_are_tried_whole(sqlite_server: Server, upstream: Upstream) -> None:
    user, model = sqlite_server.user(), upstream.script("Hi")
    path = "/api/providers/custom:new/test"
    body = {"baseUrl": f"{upstream.base_url}/chat/completions", "apiKey": KEY, "headers": {"x-team": TEAM}}

    tested = user.post(path, json=body)

    assert {"id": str(model)} in tested.json()["models"]
    assert upstream.list_requests[-1].headers["x-team"] == TEAM
    other = user.post(path, json=body | {"protocol": "ollama"}, headers={"Accept-Language": "en"})
    assert (other.status_code, other.json()["code"]) == (502, "wrong_address")
    assert "custom:new" not in ids(user)
    assert user.post(path, json={}).status_code == 404
    assert user.post(path, json={"apiKey": KEY}).json()["fields"].keys() == {"baseUrl"}


def test_headers_are_nowhere_in_the_data_folder_or_the_log(sqlite_server: Server, upstream: Upstream) -> None:
    secret = "look-for-this-header-8f1c2d3e4b5a"
    user = sqlite_server.user()
    user.configure("custom:quiet", baseUrl=upstream.base_url, headers={"x-team": secret})
    failing = upstream.failing(401, f"No such team: {secret}")
    answer = user.stream("Hi", provider="custom:quiet", model=failing)
    user.post("/api/providers/custom:quiet/test", json={"headers": {"x-team": f"{secret}\n\n: x"}})

    assert secret not in str(answer)
    data = sqlite_server.folder / "data"
    looked_at = [path for path in [*data.rglob("*"), sqlite_server.log_path] if path.is_file()]
    assert any(path.name == "chat.sqlite3-wal" for path in looked_at)
    for path in looked_at:
        assert secret.encode() not in path.read_bytes(), path


def test_no_more_than_fifty_are_added_however_many_are_asked_for_at_once(server: Server) -> None:
    user = server.user()

    def add(number: int) -> int:
        config = {"baseUrl": "http://127.0.0.1:9/v1"}
        return user.put(f"/api/providers/custom:s{number}/config", json=config).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = Counter(pool.map(add, range(56)))

    assert answers == {200: 50, 400: 6}
    assert sum(provider.startswith("custom:") for provider in ids(user)) == 50


def test_one_name_is_given_once_however_often_it_is_asked_for_at_once(server: Server) -> None:
    user = server.user()

    def add(number: int) -> int:
        config = {"name": "Lab", "baseUrl": "http://127.0.0.1:9/v1"}
        return user.put(f"/api/providers/custom:s{number}/config", json=config).status_code

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(add, range(6))) == {200: 1, 400: 5}
