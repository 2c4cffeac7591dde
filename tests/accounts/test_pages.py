import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest

from tests.accounts.visitor import Visitor, form_fields
from tests.server import Server, User

PASSWORD = "correct horse battery"


@pytest.fixture
def visitor(server: Server) -> Visitor:
    return Visitor(server)


def test_signing_in_goes_on_to_where_one_was_going(visitor: Visitor, alice: User) -> None:
    credentials = {"username": alice.username.upper(), "password": alice.password}

    response = visitor.submit("/accounts/login?next=/settings", credentials)

    assert (response.status_code, response.headers["Location"]) == (302, "/settings")


ELSEWHERE = ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "/accounts/login"]


def test_signing_in_never_leads_away(server: Server, alice: User) -> None:
    credentials = {"username": alice.username, "password": alice.password}

    by_query = [Visitor(server).submit(f"/accounts/login?next={to}", credentials) for to in ELSEWHERE]
    by_form = [Visitor(server).submit("/accounts/login", credentials | {"next": to}) for to in ELSEWHERE]

    assert {answer.headers["Location"] for answer in by_query + by_form} == {"/"}


def test_who_is_signed_in_is_sent_on(visitor: Visitor, alice: User) -> None:
    visitor.sign_in(alice.username, alice.password)

    places = [
        visitor.get(path).headers.get("Location")
        for path in (
            "/accounts/login",
            "/accounts/register",
            "/accounts/login?next=/accounts/login",
            "/accounts/register?next=/settings",
        )
    ]

    assert places == ["/", "/", "/", "/settings"]


def test_wrong_and_unknown_look_alike(visitor: Visitor, alice: User) -> None:
    for name in (alice.username, "nobody-at-all"):
        response = visitor.submit("/accounts/login", {"username": name, "password": "wrong"})

        assert response.status_code == 200
        assert "The username or the password is wrong." in response.text
        assert "sessionid" not in visitor.http.cookies


def test_a_new_visitor_registers_and_is_signed_in(visitor: Visitor) -> None:
    name = "Visitor-Zoë"

    response = visitor.submit(
        "/accounts/register", {"username": name, "password1": PASSWORD, "password2": PASSWORD}
    )

    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert visitor.api("GET", "/api/auth/me").json()["username"] == name


def test_each_error_of_a_registration_stands_at_its_field(visitor: Visitor, alice: User) -> None:
    given = {"username": alice.username, "email": "no", "password1": "12345", "password2": "other"}

    page = visitor.submit("/accounts/register", given).text

    fields = dict(re.findall(r'<div class="field">.*?name="(\w+)"(.*?)</div>', page, re.DOTALL))
    for name in given:
        assert 'aria-invalid="true"' in fields[name], name
        described = re.search(r'aria-describedby="([^"]*)"', fields[name])
        assert described and f"id_{name}_error" in described[1].split(), name
        assert f'id="id_{name}_error"' in fields[name], name
    assert "too short" in fields["password1"] and "too short" not in fields["password2"]
    assert "form-errors" not in page


def test_registering_tells_what_is_wrong(visitor: Visitor, alice: User) -> None:
    taken = visitor.submit(
        "/accounts/register",
        {"username": alice.username.upper(), "password1": PASSWORD, "password2": PASSWORD},
    )
    weak = visitor.submit("/accounts/register", {"username": "new-one", "password1": "1", "password2": "1"})

    assert taken.status_code == weak.status_code == 200
    assert "This username is taken." in taken.text
    assert "too short" in weak.text


def test_a_form_from_elsewhere_is_refused(visitor: Visitor, alice: User) -> None:
    response = visitor.http.post(
        "/accounts/login", data={"username": alice.username, "password": alice.password}
    )

    assert response.status_code == 403


def test_signing_out_is_never_a_link(visitor: Visitor, alice: User) -> None:
    visitor.sign_in(alice.username, alice.password)

    assert visitor.get("/accounts/logout").status_code == 405
    assert visitor.api("GET", "/api/auth/me").status_code == 200


def test_the_password_is_changed_on_a_page(visitor: Visitor, alice: User) -> None:
    visitor.sign_in(alice.username, alice.password)
    new = {"new_password1": "an entirely new one", "new_password2": "an entirely new one"}

    wrong = visitor.submit("/accounts/password", {"old_password": "wrong"} | new)
    right = visitor.submit("/accounts/password", {"old_password": alice.password} | new)

    assert wrong.status_code == 200
    assert right.status_code == 302
    assert visitor.api("GET", "/api/auth/me").status_code == 200
    assert alice.get("/api/auth/me").status_code == 401


def test_the_pages_count_their_tries(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="2/h", REGISTER_RATE_LIMIT="2/h")
    user = server.user()
    visitor = Visitor(server)

    logins = [
        visitor.submit("/accounts/login", {"username": user.username, "password": "wrong"}) for _ in range(3)
    ]
    registrations = [visitor.submit("/accounts/register", {"username": "two words"}) for _ in range(2)]

    assert [page.status_code for page in logins] == [200, 200, 429]
    assert int(logins[2].headers["Retry-After"]) > 0
    assert "Too many requests" in logins[2].text
    # The user of this test was registered from the same address.
    assert [page.status_code for page in registrations] == [200, 429]


def test_the_admin_counts_its_tries_too(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="2/h")
    visitor = Visitor(server)
    admin = {"username": "admin", "password": server.environ["ADMIN_PASSWORD"]}
    for _ in range(2):
        visitor.submit("/admin/login/", admin | {"password": "a guess"})

    refused = visitor.submit("/admin/login/", admin)
    elsewhere = make_server(LOGIN_RATE_LIMIT="2/h")

    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert "Too many requests" in refused.text
    assert Visitor(elsewhere).submit("/admin/login/", admin).status_code == 302


def test_the_admin_has_no_uncounted_way_to_try_passwords(make_server: Callable[..., Server]) -> None:
    server = make_server(LOGIN_RATE_LIMIT="2/h")
    visitor = Visitor(server)
    visitor.sign_in("admin", server.environ["ADMIN_PASSWORD"])
    new = {"new_password1": "an entirely new one", "new_password2": "an entirely new one"}

    shown = visitor.get("/admin/password_change/")
    sent = visitor.api("POST", "/admin/password_change/", data={"old_password": "a guess"} | new)
    tries = [visitor.submit("/accounts/password", {"old_password": "a guess"} | new) for _ in range(3)]

    assert (shown.status_code, shown.headers["Location"]) == (302, "/accounts/password")
    assert (sent.status_code, sent.headers["Location"]) == (302, "/accounts/password")
    assert [page.status_code for page in tries] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/accounts/login", "/admin/login/"])
def test_many_sign_ins_keep_nobody_waiting(sqlite_server: Server, path: str) -> None:
    user = sqlite_server.user()
    visitor = Visitor(sqlite_server)
    visitor.sign_in(user.username, user.password)
    stranger = Visitor(sqlite_server)
    token = form_fields(stranger.get(path).text)["csrfmiddlewaretoken"]
    cookie = f"csrftoken={stranger.http.cookies['csrftoken']}"
    form = {"csrfmiddlewaretoken": token, "username": "nobody-at-all", "password": "wrong"}

    with contextlib.ExitStack() as pending:
        for _ in range(60):
            pending.enter_context(posted(sqlite_server, path, form, cookie))
        waits = []
        for page in ("/", "/settings", path):
            begun = time.monotonic()
            assert visitor.get(page).status_code in {200, 302}
            waits.append(time.monotonic() - begun)

    # One after the other on the threads of the pages, they would take half a minute.
    assert max(waits) < 5


@contextlib.contextmanager
def posted(server: Server, path: str, form: dict[str, str], cookie: str) -> Iterator[None]:
    """Send a form, and hang up without having waited for the answer."""
    body = urlencode(form)
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {server.environ['HOST']}",
        f"Cookie: {cookie}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection((server.environ["HOST"], int(server.environ["PORT"]))) as link:
        link.sendall("\r\n".join([*head, "", body]).encode())
        yield


def test_a_page_speaks_the_language_that_was_chosen(visitor: Visitor, alice: User) -> None:
    alice.patch("/api/auth/me", json={"language": "zh-hans"})
    visitor.sign_in(alice.username, alice.password)

    assert visitor.get("/accounts/password").headers["Content-Language"] == "zh-hans"
    alice.patch("/api/auth/me", json={"language": "en"})
    assert visitor.get("/accounts/password").headers["Content-Language"] == "en"
