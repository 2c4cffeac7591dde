import socket
import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError

from providers.services import checked_url
from tests.server import Server, User

KEY = "sk-alice-0123456789abcdef"
CONFIG = "/api/providers/openai/config"


@pytest.fixture
def alice(server: Server) -> User:
    return server.user()


@pytest.fixture
def bob(server: Server) -> User:
    return server.user()


@pytest.fixture(scope="module")
def someone(sqlite_server: Server) -> User:
    return sqlite_server.user()


@pytest.fixture
def admin(server: Server) -> User:
    return server.admin()


def listed(user: User, provider: str) -> dict[str, object]:
    providers = user.get("/api/providers").json()["providers"]
    return next(entry for entry in providers if entry["id"] == provider)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::1"])
def test_a_name_that_leads_inside_is_refused_as_it_is_saved(address, monkeypatch, settings):
    settings.ALLOW_PRIVATE_PROVIDER_HOSTS = False
    answers = {
        "inside.example": [address],
        "both.example": ["1.1.1.1", address],
        "outside.example": ["1.1.1.1"],
    }

    def getaddrinfo(host: str, *args: object, **kwargs: object) -> list[object]:
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, 0)) for found in answers[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    for host in ("inside.example", "both.example"):
        with pytest.raises(ValidationError):
            checked_url(f"https://{host}/v1")
    # What does not resolve may do so by the time it is used, and is checked then.
    for host in ("outside.example", "soon.example"):
        assert checked_url(f"https://{host}/v1") == f"https://{host}/v1"


def test_every_provider_is_listed(someone: User) -> None:
    providers = someone.get("/api/providers").json()["providers"]

    assert [entry["id"] for entry in providers if entry["configured"]] == ["demo"]
    for entry in providers:
        assert set(entry) >= {
            "id",
            "name",
            "configured",
            "shared",
            "requiresKey",
            "defaultBaseUrl",
            "defaultModel",
            "models",
        }
    assert {"openai", "deepseek", "qwen", "openrouter", "custom", "demo"} <= {
        entry["id"] for entry in providers
    }


def test_a_key_is_stored_and_never_given_back(alice: User, bob: User) -> None:
    stored = alice.put(CONFIG, json={"apiKey": f" {KEY}\n", "defaultModel": "gpt-5"})
    seen = alice.get(CONFIG)

    assert stored.status_code == 200
    assert stored.json() == seen.json()
    assert {name: value for name, value in seen.json().items() if name != "updatedAt"} == {
        "provider": "openai",
        "baseUrl": "https://api.openai.com/v1",
        "defaultModel": "gpt-5",
        "enabled": True,
        "keyHint": "••••cdef",
        "headerNames": [],
        "extraBody": {},
    }
    assert KEY not in stored.text + seen.text + alice.get("/api/providers").text
    assert (listed(alice, "openai")["configured"], listed(alice, "openai")["shared"]) == (True, False)
    assert listed(bob, "openai")["configured"] is False
    assert (bob.get(CONFIG).status_code, bob.delete(CONFIG).status_code) == (404, 404)
    assert alice.get(CONFIG).status_code == 200


def test_what_is_left_out_stays(alice: User) -> None:
    alice.configure("openai", apiKey=KEY, defaultModel="gpt-5", baseUrl="https://api.openai.com/v1/eu")

    first = alice.configure("openai", enabled=False)
    second = alice.configure("openai", defaultModel="")

    assert (first["keyHint"], first["baseUrl"], first["enabled"]) == (
        "••••cdef",
        "https://api.openai.com/v1/eu",
        False,
    )
    assert (second["keyHint"], second["defaultModel"], second["enabled"]) == ("••••cdef", "", False)
    assert listed(alice, "openai")["configured"] is False


def test_azures_version_is_kept_with_its_address(alice: User) -> None:
    address = "https://8.8.8.8/openai/deployments/gpt?api-version=2025-01-01-preview"

    kept = alice.configure("azure", apiKey=KEY, baseUrl=f" {address} ")

    assert kept["baseUrl"] == address
    assert alice.configure("azure", enabled=False)["baseUrl"] == address


@pytest.mark.parametrize(
    ("provider", "address", "told"),
    [
        ("openai", "https://8.8.8.8/v1?api-version=1", "Only Azure"),
        ("azure", "https://8.8.8.8/?api-version=1&x=2", "no base URL"),
        ("azure", "https://8.8.8.8/?api-version=", "no base URL"),
        ("openai", "https://8.8.8.8/v1?x=1", "no base URL"),
        ("openai", "https://user:word@8.8.8.8/", "no base URL"),
        ("openai", "ftp://8.8.8.8/", "no base URL"),
        ("openai", "https://169.254.169.254/v1", "Only public"),
        ("azure", "https://169.254.169.254/?api-version=1", "Only public"),
    ],
)
def test_an_address_that_cannot_be_is_told_from_one_that_may_not(
    alice: User, provider: str, address: str, told: str
) -> None:
    body = {"apiKey": KEY, "baseUrl": address}
    for method, path in (("PUT", "config"), ("POST", "test")):
        refused = alice.request(
            method, f"/api/providers/{provider}/{path}", json=body, headers={"Accept-Language": "en"}
        )

        assert refused.status_code == 400
        assert told in refused.json()["fields"]["baseUrl"][0]


def test_what_was_given_can_be_sent_back(alice: User) -> None:
    given = alice.configure("openai", apiKey=KEY)

    returned = alice.put(CONFIG, json=given)

    assert returned.status_code == 200
    assert returned.json() | {"updatedAt": given["updatedAt"]} == given


def test_an_empty_key_takes_the_stored_one_away(alice: User) -> None:
    alice.configure("openai", apiKey=KEY)

    assert alice.configure("openai", apiKey="")["keyHint"] == ""
    assert listed(alice, "openai")["configured"] is False


def test_a_stored_key_never_moves_to_another_origin(alice: User) -> None:
    alice.configure("openai", apiKey=KEY)

    for elsewhere in (
        "https://elsewhere.example/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.elsewhere.example",
    ):
        refused = alice.put(CONFIG, json={"baseUrl": elsewhere}, headers={"Accept-Language": "en"})
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["apiKey"])
        assert "Enter it again" in refused.json()["error"]
    assert alice.get(CONFIG).json()["baseUrl"] == "https://api.openai.com/v1"

    moved = alice.put(
        CONFIG, json={"baseUrl": "https://elsewhere.example/v1", "apiKey": "sk-for-elsewhere-42"}
    )
    back = alice.put(CONFIG, json={"baseUrl": ""})

    assert moved.json()["keyHint"] == "••••e-42"
    assert (back.status_code, list(back.json()["fields"])) == (400, ["apiKey"])


def test_the_same_origin_keeps_the_key(alice: User) -> None:
    alice.configure("openai", apiKey=KEY)

    for same in ("https://API.openai.com:443/v2/", "https://api.openai.com", "", "https://api.openai.com/v1"):
        assert alice.configure("openai", baseUrl=same)["keyHint"] == "••••cdef"


@pytest.mark.parametrize(
    "key",
    ["two words", "line\nbreak", "tab\there", "schlüssel", "密钥", "nul\0", "x" * 4097, "\x7f", "a\r\nX: y"],
)
def test_a_key_that_no_header_can_carry_is_refused(someone: User, key: str) -> None:
    response = someone.put("/api/providers/groq/config", json={"apiKey": key})

    assert (response.status_code, list(response.json()["fields"])) == (400, ["apiKey"])
    assert someone.get("/api/providers/groq/config").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"apiKey": None}, "apiKey"),
        ({"apiKey": ["x"]}, "apiKey"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"defaultModel": "m" * 201}, "defaultModel"),
        ({"defaultModel": None}, "defaultModel"),
        ({"api_key": KEY}, "api_key"),
        ({"apikey": KEY, "defaultModel": "m"}, "apikey"),
    ],
)
def test_bad_input_is_told_by_its_field(someone: User, body: dict[str, object], field: str) -> None:
    response = someone.put("/api/providers/groq/config", json=body)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert list(response.json()["fields"]) == [field]
    assert KEY not in response.text


@pytest.mark.parametrize(
    "url",
    [
        "elsewhere.example",
        "ftp://elsewhere.example",
        "file:///etc/passwd",
        "https://user:pass@elsewhere.example",
        "https://elsewhere.example/?a=b",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://0x7f.1/",
        "https://",
        "x" * 2000,
    ],
)
def test_an_address_that_cannot_be_is_refused(someone: User, url: str) -> None:
    response = someone.put("/api/providers/custom/config", json={"baseUrl": url})

    assert (response.status_code, list(response.json()["fields"])) == (400, ["baseUrl"])


def test_private_addresses_are_refused_where_the_server_says_so(make_server: Callable[..., Server]) -> None:
    server = make_server(ALLOW_PRIVATE_PROVIDER_HOSTS="0")
    user = server.user()

    for url in ("http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]/v1", "http://10.0.0.1"):
        stored = user.put("/api/providers/custom/config", json={"baseUrl": url})
        tried = user.post("/api/providers/custom/test", json={"baseUrl": url})

        assert (stored.status_code, list(stored.json()["fields"])) == (400, ["baseUrl"])
        assert (tried.status_code, list(tried.json()["fields"])) == (400, ["baseUrl"])


def test_custom_needs_an_address_and_no_key(alice: User) -> None:
    missing = alice.put("/api/providers/custom/config", json={"apiKey": KEY})

    assert (missing.status_code, list(missing.json()["fields"])) == (400, ["baseUrl"])
    assert listed(alice, "custom")["configured"] is False
    assert alice.configure("custom", baseUrl="https://llm.example/v1/")["baseUrl"] == "https://llm.example/v1"
    assert listed(alice, "custom")["configured"] is True


def test_the_demo_has_nothing_to_configure(someone: User) -> None:
    assert someone.put("/api/providers/demo/config", json={}).json()["code"] == "provider_needs_no_config"
    assert someone.get("/api/providers/demo/config").status_code == 404


def test_a_config_is_deleted(alice: User, bob: User) -> None:
    alice.configure("openai", apiKey=KEY)
    bob.configure("openai", apiKey="sk-bob-0123456789")

    assert alice.delete(CONFIG).status_code == 204
    assert alice.delete(CONFIG).status_code == 404
    assert alice.get(CONFIG).status_code == 404
    assert bob.get(CONFIG).status_code == 200


@pytest.mark.parametrize("provider", ["nope", "OPENAI", "openai%20"])
def test_an_unknown_provider_is_not_there(someone: User, provider: str) -> None:
    calls = [("GET", "config"), ("PUT", "config"), ("DELETE", "config"), ("GET", "models"), ("POST", "test")]
    answers = [someone.request(method, f"/api/providers/{provider}/{what}") for method, what in calls]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "provider_unknown")}


def test_a_stranger_gets_nothing(server: Server) -> None:
    calls = [("GET", ""), *((m, "/openai/config") for m in ("GET", "PUT", "DELETE"))]
    calls += [("GET", "/openai/models"), ("POST", "/openai/test")]

    with server.client() as client:
        answers = [client.request(method, f"/api/providers{path}") for method, path in calls]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "not_authenticated")}


def test_saves_at_the_same_time_all_succeed_and_leave_one_row(alice: User) -> None:
    keys = [f"sk-number-{n:04}-of-many" for n in range(12)]

    with ThreadPoolExecutor(len(keys)) as pool:
        answers = list(pool.map(lambda key: alice.put(CONFIG, json={"apiKey": key}), keys))

    assert Counter(answer.status_code for answer in answers) == {200: len(keys)}
    assert alice.delete(CONFIG).status_code == 204
    assert alice.get(CONFIG).status_code == 404


def test_a_shared_config_serves_whoever_has_none(alice: User, bob: User, admin: User) -> None:
    path = "/api/providers/deepseek/config?shared=true"
    alice.configure("deepseek", apiKey=KEY)

    assert alice.put(path, json={"apiKey": KEY}).status_code == 403
    stored = admin.put(path, json={"apiKey": "sk-for-everyone-0123", "defaultModel": "everyones"})
    try:
        assert stored.status_code == 200
        assert [listed(user, "deepseek")["shared"] for user in (alice, bob)] == [False, True]
        assert listed(bob, "deepseek")["configured"] is True
        assert listed(bob, "deepseek")["defaultModel"] == "everyones"
        assert "0123" not in bob.get("/api/providers").text
        assert bob.get("/api/providers/deepseek/config").status_code == 404
        assert admin.get("/api/providers/deepseek/config").status_code == 404
        for method in ("GET", "DELETE", "PUT"):
            assert bob.request(method, path, json={}).status_code == 403
        assert admin.get(path).json()["keyHint"] == "••••0123"
    finally:
        assert admin.delete(path).status_code == 204
    assert listed(bob, "deepseek")["configured"] is False


def test_keys_of_the_environment_are_shared_and_never_told(make_server: Callable[..., Server]) -> None:
    secret = "sk-environment-0123456789"
    server = make_server(OPENAI_API_KEY=secret)
    user = server.user()

    assert (listed(user, "openai")["configured"], listed(user, "openai")["shared"]) == (True, True)
    refused = user.post("/api/providers/openai/test", json={"baseUrl": "http://127.0.0.1:9/v1"})

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["apiKey"])
    assert secret not in user.get("/api/providers").text + refused.text + server.log()


def test_a_key_is_nowhere_in_the_data_folder_or_the_log(sqlite_server: Server) -> None:
    secret = "sk-look-for-me-8f1c2d3e4b5a6978"
    user = sqlite_server.user()
    user.configure("custom", baseUrl="http://127.0.0.1:9/v1", apiKey=secret)
    user.post("/api/providers/custom/test", json={})
    user.post("/api/providers/custom/test", json={"apiKey": secret, "baseUrl": "http://127.0.0.1:9/v2"})

    data = sqlite_server.folder / "data"
    with sqlite3.connect(data / "chat.sqlite3") as database:
        database.execute("PRAGMA wal_checkpoint")
    database.close()

    looked_at = [path for path in [*data.rglob("*"), sqlite_server.log_path] if path.is_file()]
    assert any(path.name == "chat.sqlite3" for path in looked_at)
    for path in looked_at:
        assert secret.encode() not in path.read_bytes(), path
