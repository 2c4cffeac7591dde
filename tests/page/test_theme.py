"""The theme is the person's own, and the first paint is right without a script."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.accounts.visitor import Visitor
from tests.browser import sign_in
from tests.page.desk import Desk
from tests.server import PROJECT, Server

STYLES = PROJECT / "chat" / "static" / "chat"
PAPER = {"light": "rgb(251, 250, 247)", "dark": "rgb(25, 24, 22)"}
DARK = [{"color_scheme": "dark"}]


def paper(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def choose(page: Page, theme: str) -> None:
    """Choose a theme in the settings, and wait until the server has kept it."""
    with page.expect_response("**/settings/theme"):
        page.get_by_label(theme, exact=theme != "System").check()


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_without_a_choice_the_device_decides(page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/accounts/login")

    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    assert paper(page) == PAPER[scheme]


@pytest.mark.parametrize("page", DARK, indirect=True)
def test_a_choice_holds_at_once_and_from_then_on(desk: Desk):
    page = desk.page
    desk.open("/settings")
    choose(page, "Light")

    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert paper(page) == PAPER["light"]
    desk.open("/")
    assert paper(page) == PAPER["light"]
    assert page.evaluate("document.querySelector('meta[name=theme-color][media=all]').content") == "#fbfaf7"
    page.get_by_role("button", name="Sign out").click()
    page.locator("input[name=username]").wait_for()
    assert paper(page) == PAPER["light"]

    sign_in(page, desk.server, desk.user)
    desk.open("/settings")
    choose(page, "System")
    expect(page.locator("html")).not_to_have_attribute("data-theme", "light")
    assert paper(page) == PAPER["dark"]
    desk.open("/")
    assert paper(page) == PAPER["dark"]


@pytest.mark.parametrize("page", DARK, indirect=True)
def test_the_admin_follows_the_choice(page, sqlite_server):
    sign_in(page, sqlite_server, sqlite_server.admin())
    for theme in ("light", "dark"):
        page.goto(f"{sqlite_server.base_url}/settings")
        choose(page, theme.capitalize())
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        page.goto(f"{sqlite_server.base_url}/admin/")
        assert paper(page) == PAPER[theme]
    page.goto(f"{sqlite_server.base_url}/settings")
    choose(page, "System")


def test_it_is_chosen_by_a_form_and_follows_to_other_browsers(server: Server) -> None:
    user = server.user()
    here, there = Visitor(server), Visitor(server)
    here.sign_in(user.username, user.password)

    chosen = here.submit("/settings", {"theme": "dark"})
    assert chosen.status_code == 405  # the page itself takes no form
    chosen = here.api("POST", "/settings/theme", data={"theme": "dark"})
    there.sign_in(user.username, user.password)

    assert (chosen.status_code, chosen.headers["Location"]) == (302, "/settings")
    assert 'data-theme="dark"' in here.get("/").text
    assert 'data-theme="dark"' in there.get("/").text
    assert 'content="dark"' in there.get("/nowhere").text
    assert here.api("POST", "/settings/theme", data={"theme": "neon"}).status_code == 404
    # A browser with the cookie of one person shows the next one theirs.
    there.api("POST", "/accounts/logout")
    assert 'data-theme="dark"' in there.get("/accounts/login").text
    other = server.user()
    there.sign_in(other.username, other.password)
    assert "data-theme" not in there.get("/").text


def test_a_made_up_cookie_is_nobodys_theme(sqlite_server: Server) -> None:
    with sqlite_server.client(cookies={"theme": '"><script>'}) as client:
        page = client.get("/accounts/login")

    assert page.status_code == 200
    assert "data-theme" not in page.text


# --- the colours themselves ----------------------------------------------------------------------------


def tokens() -> dict[str, tuple[str, str]]:
    source = (STYLES / "tokens.css").read_text()
    return {
        name: (light, dark)
        for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\);", source)
    }


def luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


# What is written in a colour, and on what.
PAIRS = [
    *((ink, on) for ink in ("ink", "soft", "faint") for on in ("paper", "side", "raised")),
    *((ink, on) for ink in ("ink", "soft") for on in ("own", "code")),
    *(("accent", on) for on in ("paper", "side", "raised", "tint", "own")),
    *(("on-accent", on) for on in ("accent", "accent-strong")),
    *(("warning", on) for on in ("paper", "raised", "warning-tint")),
    ("ink", "tint"),
]


@pytest.mark.parametrize(("ink", "on"), PAIRS, ids=[f"{ink} on {on}" for ink, on in PAIRS])
def test_every_pair_can_be_read(ink: str, on: str) -> None:
    colours = tokens()
    for theme in (0, 1):
        assert contrast(colours[ink][theme], colours[on][theme]) >= 4.5


def test_older_browsers_get_the_light_theme_whole() -> None:
    source = (STYLES / "tokens.css").read_text()
    fallback = dict(re.findall(r"--([\w-]+): (#\w+);", source.partition("@supports not")[2]))

    assert fallback == {name: light for name, (light, _dark) in tokens().items()}


def test_colours_are_written_in_one_place() -> None:
    found = {
        path.name: colours
        for path in STYLES.glob("*.css")
        if path.name != "tokens.css"
        and (colours := re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;,) ])", path.read_text()))
        and set(colours) - {"#000"}  # ink on paper, when printed
    }

    assert found == {}
