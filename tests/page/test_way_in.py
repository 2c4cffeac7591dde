"""What is refused before any view is asked, and how."""

from collections.abc import Callable

import psycopg
import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server

ELSEWHERE = {"Host": "rebound.example", "Accept-Language": "en"}


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/schema", "/api", "/metrics"])
def test_the_api_does_not_answer_to_a_name_that_is_not_its_own(server: Server, path: str) -> None:
    with server.client(headers=ELSEWHERE) as client:
        refused = client.get(path)

    assert (refused.status_code, refused.json()["code"]) == (400, "host_not_allowed")
    assert "ALLOWED_HOSTS" in refused.json()["error"]


def test_nothing_is_done_for_another_name(sqlite_server: Server) -> None:
    user = sqlite_server.user()
    mine = {"Authorization": f"Bearer {user.access}", **ELSEWHERE}

    with sqlite_server.client(headers=mine) as client:
        read = client.get("/api/auth/me")
        changed = client.patch("/api/auth/me", json={"email": "rebound@elsewhere.example"})

    assert (read.status_code, changed.status_code) == (400, 400)
    assert user.get("/api/auth/me").json()["email"] == ""


def test_pages_do_not_answer_to_another_name_either(sqlite_server: Server) -> None:
    with sqlite_server.client(headers=ELSEWHERE) as client:
        pages = [client.get(path) for path in ("/", "/accounts/login", "/admin/", "/nowhere")]

    assert {page.status_code for page in pages} == {400}
    assert all("ALLOWED_HOSTS" in page.text for page in pages)
    assert all("default-src 'none'" in page.headers["Content-Security-Policy"] for page in pages)


def test_probes_may_ask_by_address(server: Server) -> None:
    with server.client(headers={"Host": "10.1.2.3:8000"}) as client:
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_the_operator_names_the_hosts(make_server: Callable[..., Server]) -> None:
    server = make_server(ALLOWED_HOSTS="chat.example,127.0.0.1")

    with server.client() as client:
        answers = [
            client.get("/api/auth/me", headers={"Host": host}).status_code
            for host in ("chat.example", "CHAT.example:443", "localhost")
        ]

    assert answers == [401, 401, 400]


@pytest.mark.parametrize(
    "charset", ["charset=rot13", "charset=utf-16", "charset=latin-1", "charset*=utf-8''rot13"]
)
def test_bodies_are_utf8(server: Server, charset: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary=x; {charset}", "Accept-Language": "en"}
    with server.client(headers=headers) as client:
        page = client.post("/accounts/login", content=b"--x--")
        api = client.post("/api/auth/login", content=b"--x--")

    assert (page.status_code, api.status_code) == (415, 415)
    assert "UTF-8" in page.text
    assert (api.json()["error"], api.json()["code"]) == ("Send the body in UTF-8.", "unsupported_charset")


def test_a_cookie_does_not_change_that(server: Server) -> None:
    user = server.user()
    visitor = Visitor(server)
    visitor.sign_in(user.username, user.password)
    headers = {"Content-Type": "multipart/form-data; boundary=x; charset=rot13"}

    refused = visitor.http.post("/api/chat/stream", content=b"--x--", headers=headers)
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    taken = visitor.http.post("/accounts/login", content=b"username=x", headers=form)

    assert refused.status_code == 415
    assert taken.status_code == 403  # for its missing token


@pytest.mark.parametrize("path", ["/api/chat/sessions?q=%00", "/api/chat/sessions/%00", "/history?q=a%00b"])
def test_nul_is_refused_in_any_address(server: Server, path: str) -> None:
    with server.client() as client:
        assert client.get(path).status_code == 400


def test_nobody_can_fill_the_log(make_server: Callable[..., Server]) -> None:
    server = make_server()
    visitor = Visitor(server)
    visitor.get("/accounts/login")
    form = {f"f{number}": "1" for number in range(1100)}

    named = visitor.get("/", headers={"Host": "rebound.example"})
    filled = visitor.http.post("/accounts/login", data=form)

    assert (named.status_code, filled.status_code) == (400, 400)
    assert " ERROR " not in server.log()
    assert " WARNING " not in server.log()


def test_programs_are_told_in_json(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        nothing = client.get("/api")
        page = client.get("/apis")

    assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
    assert page.headers["Content-Type"].startswith("text/html")


def test_failing_numbers_are_told_in_json(make_server: Callable[..., Server], postgres_url: str) -> None:
    server = make_server(DATABASE_URL=postgres_url, DATABASE_POOL_SIZE="1")
    admin = server.admin()
    with psycopg.connect(postgres_url, autocommit=True) as database:
        database.execute("ALTER TABLE accounts_user RENAME TO accounts_user_away")
        failed = admin.get("/metrics")

    assert (failed.status_code, failed.json()["code"]) == (500, "server_error")
