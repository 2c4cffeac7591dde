import re

import pytest

from tests.accounts.visitor import Visitor, form_fields
from tests.server import Server, User

KEY = "sk-in-the-admin-0123456789"
LIST = "/admin/providers/providerconfig/"
CHECKED = {"enabled": "on"}


@pytest.fixture
def administrator(server: Server) -> Visitor:
    visitor = Visitor(server)
    visitor.sign_in("admin", server.environ["ADMIN_PASSWORD"])
    return visitor


@pytest.fixture
def alice(server: Server) -> User:
    user = server.user()
    user.configure("openai", apiKey=KEY, defaultModel="gpt-5")
    return user


def page_of(administrator: Visitor, user: User) -> str:
    listed = administrator.get(f"{LIST}?q={user.username}").text
    found = re.search(rf"{LIST}\d+/change/", listed)
    assert found
    return found[0]


def test_settings_are_found_and_the_key_is_nowhere(administrator: Visitor, alice: User) -> None:
    listed = administrator.get(f"{LIST}?q={alice.username}")
    page = administrator.get(page_of(administrator, alice))

    for shown in (listed.text, page.text):
        assert "••••6789" in shown
        assert KEY not in shown
        assert alice.username in shown
    assert form_fields(page.text)["new_key"] == ""
    assert "api_key" not in form_fields(page.text)


def test_a_new_key_is_stored_and_an_empty_field_keeps_it(administrator: Visitor, alice: User) -> None:
    path = page_of(administrator, alice)

    administrator.submit(path, CHECKED | {"new_key": "sk-entered-by-staff-42"})
    entered = alice.get("/api/providers/openai/config").json()
    administrator.submit(path, CHECKED | {"default_model": "another"})
    kept = alice.get("/api/providers/openai/config").json()
    administrator.submit(path, CHECKED | {"remove_key": "on"})
    removed = alice.get("/api/providers/openai/config").json()

    assert entered["keyHint"] == "••••f-42"
    assert (kept["keyHint"], kept["defaultModel"]) == ("••••f-42", "another")
    assert removed["keyHint"] == ""


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"address": "https://elsewhere.example/v1"}, "Enter it again"),
        ({"address": "http://169.254.169.254/"}, "not allowed"),
        ({"new_key": "two words"}, "printable"),
        ({"new_key": "sk-0123456789", "remove_key": "on"}, "Either"),
    ],
)
def test_the_rules_of_the_api_hold(
    administrator: Visitor, alice: User, form: dict[str, str], text: str
) -> None:
    before = alice.get("/api/providers/openai/config").json()

    response = administrator.submit(page_of(administrator, alice), CHECKED | form)

    assert response.status_code == 200
    assert text in response.text
    assert "sk-0123456789" not in response.text
    assert alice.get("/api/providers/openai/config").json() == before


def test_a_config_cannot_be_given_to_somebody_else(administrator: Visitor, alice: User) -> None:
    bob = alice.server.user()

    administrator.submit(page_of(administrator, alice), CHECKED | {"user": bob.id, "provider": "groq"})

    assert bob.get("/api/providers/openai/config").status_code == 404
    assert alice.get("/api/providers/openai/config").json()["keyHint"] == "••••6789"


def test_staff_add_shared_settings_once(administrator: Visitor, alice: User) -> None:
    form = CHECKED | {"provider": "zhipu", "new_key": KEY, "user": ""}

    first = administrator.submit(f"{LIST}add/", form)
    second = administrator.submit(f"{LIST}add/", form)

    admin = alice.server.admin()
    try:
        assert first.status_code == 302
        assert second.status_code == 200
        assert "already are shared settings" in second.text
        shared = next(
            entry for entry in alice.get("/api/providers").json()["providers"] if entry["id"] == "zhipu"
        )
        assert (shared["configured"], shared["shared"]) == (True, True)
    finally:
        admin.delete("/api/providers/zhipu/config?shared=true")


def test_the_history_does_not_tell_the_key(administrator: Visitor, alice: User) -> None:
    path = page_of(administrator, alice)
    administrator.submit(path, CHECKED | {"new_key": "sk-not-in-the-history"})

    history = administrator.get(path.replace("change", "history")).text

    assert "new API key" in history
    assert "sk-not" not in history
