"""A lost device: one click ends every session and every token, and nothing else."""

from tests.accounts.visitor import Visitor, form_fields
from tests.server import Server, User


def signed_in(server: Server, user: User) -> Visitor:
    visitor = Visitor(server)
    visitor.sign_in(user.username, user.password)
    return visitor


def refreshed(user: User) -> int:
    with user.server.client() as client:
        return client.post("/api/auth/refresh", json={"refresh": user.refresh}).status_code


def test_everything_ends_but_the_browser_that_asks(server: Server, alice: User, bob: User) -> None:
    here, there, bobs = signed_in(server, alice), signed_in(server, alice), signed_in(server, bob)
    before = here.http.cookies["sessionid"]

    response = here.api("POST", "/settings/sign-out-everywhere")

    assert (response.status_code, response.headers["Location"]) == (302, "/settings")
    assert "signed out everywhere but here" in here.get("/settings").text
    assert here.api("GET", "/api/auth/me").status_code == 200
    # A session that somebody may have copied must not be the one that stays.
    assert here.http.cookies["sessionid"] != before
    assert there.get("/settings").status_code == 302
    assert there.api("GET", "/api/auth/me").status_code == 401
    assert alice.get("/api/auth/me").status_code == 401
    assert refreshed(alice) == 401
    assert bobs.get("/settings").status_code == 200
    assert bob.get("/api/auth/me").status_code == 200


def test_signing_in_again_works_as_ever(server: Server, alice: User) -> None:
    for _ in range(2):
        assert signed_in(server, alice).api("POST", "/settings/sign-out-everywhere").status_code == 302

    again = server.login(alice.username, alice.password)

    assert again.get("/api/auth/me").status_code == 200
    assert refreshed(again) == 200


def test_it_takes_a_form_and_a_sign_in(sqlite_server: Server) -> None:
    user = sqlite_server.user()
    visitor = signed_in(sqlite_server, user)

    assert visitor.get("/settings/sign-out-everywhere").status_code == 405
    assert visitor.http.post("/settings/sign-out-everywhere").status_code == 403
    stranger = Visitor(sqlite_server)
    stranger.get("/accounts/login")
    assert stranger.api("POST", "/settings/sign-out-everywhere").status_code == 302
    assert user.get("/api/auth/me").status_code == 200


def test_an_administrator_does_it_for_others(sqlite_server: Server) -> None:
    user, other = sqlite_server.user(), sqlite_server.user()
    admin = Visitor(sqlite_server)
    admin.sign_in("admin", sqlite_server.environ["ADMIN_PASSWORD"])
    token = form_fields(admin.get("/admin/accounts/user/").text)["csrfmiddlewaretoken"]

    done = admin.http.post(
        "/admin/accounts/user/",
        data={
            "csrfmiddlewaretoken": token,
            "action": "sign_out_everywhere",
            "_selected_action": [str(user.id)],
        },
    )

    assert done.status_code == 302
    assert user.get("/api/auth/me").status_code == 401
    assert other.get("/api/auth/me").status_code == 200
    assert admin.get("/admin/").status_code == 200
