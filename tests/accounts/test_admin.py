import pytest

from tests.accounts.visitor import Visitor
from tests.server import Server, User


def test_users_are_found_and_changed(administrator: Visitor, alice: User, bob: User) -> None:
    listed = administrator.get(f"/admin/accounts/user/?q={alice.username}")
    administrator.change_user(alice.id, email="new@example.org")

    assert alice.username in listed.text
    assert bob.username not in listed.text
    assert alice.get("/api/auth/me").json()["email"] == "new@example.org"


def test_an_account_made_in_the_admin_can_sign_in(server: Server, administrator: Visitor) -> None:
    password = "made in the admin"
    form = {"username": "Made-There", "password1": password, "password2": password, "usable_password": "true"}

    made = administrator.submit("/admin/accounts/user/add/", form)
    again = administrator.submit("/admin/accounts/user/add/", form | {"username": "MADE-there"})

    assert made.status_code == 302
    assert again.status_code == 200
    assert "errorlist" in again.text
    assert server.login("made-there", password).get("/api/auth/me").json()["username"] == "Made-There"


def test_a_renamed_account_leaves_its_old_name_free(
    server: Server, administrator: Visitor, alice: User
) -> None:
    administrator.change_user(alice.id, username="Renamed-Ångström")

    assert server.login("renamed-ångström", alice.password).id == alice.id
    assert server.user(username=alice.username).id != alice.id


def test_a_new_password_set_in_the_admin_ends_the_tokens(
    server: Server, administrator: Visitor, alice: User
) -> None:
    new = {"password1": "set by the admin", "password2": "set by the admin", "usable_password": "true"}

    administrator.submit(f"/admin/accounts/user/{alice.id}/password/", new)

    assert alice.get("/api/auth/me").status_code == 401
    assert server.login(alice.username, "set by the admin").id == alice.id


def test_tokens_and_counters_are_not_in_the_admin(administrator: Visitor) -> None:
    index = administrator.get("/admin/").text

    assert "/admin/accounts/user/" in index
    assert "/admin/token" not in index and "counter" not in index.lower()
    assert administrator.get("/admin/token_blacklist/outstandingtoken/").status_code == 404


def test_the_admin_is_for_staff(server: Server, alice: User) -> None:
    visitor = Visitor(server)
    visitor.sign_in(alice.username, alice.password)

    assert visitor.get("/admin/accounts/user/").status_code == 302


FILTERS = [
    "accounts/user/?date_joined__gte=0001-01-01 00:00:00%2B14:00",
    "accounts/user/?id__in=99999999999999999999999999",
    "providers/providerconfig/?updated_at__gte=0001-01-01 00:00:00%2B14:00",
]


@pytest.mark.parametrize("path", FILTERS)
def test_a_filter_that_no_database_can_hold_is_refused(administrator: Visitor, path: str) -> None:
    # PostgreSQL can hold a moment of the day before the first; the page must not fail for either.
    assert administrator.get(f"/admin/{path}").status_code in {200, 400}


NUL = [
    "accounts/user/?language__exact=%00",
    "providers/providerconfig/?provider=%00",
    "chat/message/?role__exact=%00",
    "autocomplete/?app_label=providers&model_name=providerconfig&field_name=user&term=%00",
    "chat/mode/a%00b/change/",
]


@pytest.mark.parametrize("path", NUL)
def test_nul_is_refused_everywhere(administrator: Visitor, path: str) -> None:
    assert administrator.get(f"/admin/{path}").status_code == 400


def test_nul_in_what_is_sent_is_refused(administrator: Visitor) -> None:
    chosen = {"action": "delete_selected", "_selected_action": "a\0b", "index": "0"}

    # PostgreSQL cannot look for it, SQLite finds nothing.
    assert administrator.submit("/admin/chat/mode/", chosen).status_code in {200, 400}


SEARCHES = ["accounts/user", "chat/chatsession", "chat/message", "chat/mode", "providers/providerconfig"]


@pytest.mark.parametrize("name", SEARCHES)
def test_a_very_long_search_finds_nothing(administrator: Visitor, name: str) -> None:
    # A word that no other test of this server has written.
    page = administrator.get(f"/admin/{name}/?q={'needle-in-no-haystack-' * 2300}")

    assert page.status_code == 200
    assert "result_list" not in page.text
