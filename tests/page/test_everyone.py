"""What axe finds in the pages, in either theme: nothing."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser import sign_in
from tests.page.desk import Desk
from tests.upstream import Reasoning

RICH = "# One\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n\n> quote\n\n1. `x`\n2. [y](https://e.org)\n"
THEMES = [{"color_scheme": "light"}, {"color_scheme": "dark"}]


def find_nothing(page: Page) -> None:
    results = Axe().run(page)
    found = [
        f"{violation['id']} ({violation['impact']}): "
        + "; ".join(f"{node['target']} {node['failureSummary']}" for node in violation["nodes"][:3])
        for violation in results.response["violations"]
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", THEMES, indirect=True)
def test_sign_in_and_registration(page, sqlite_server):
    for path in ("/accounts/login", "/accounts/register", "/nowhere"):
        page.goto(f"{sqlite_server.base_url}{path}")
        find_nothing(page)
    page.goto(f"{sqlite_server.base_url}/accounts/login")
    page.fill("[name=username]", "nobody")
    page.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")
    page.locator(".errors").wait_for()
    find_nothing(page)


@pytest.mark.parametrize("page", THEMES, indirect=True)
def test_the_chat_in_its_states(desk: Desk):
    find_nothing(desk.page)
    desk.script(Reasoning("hm"), RICH)
    desk.send("Everything, please")
    desk.answer().get_by_text("Thought").click()
    desk.choose("custom", desk.upstream.failing(500))
    desk.send("And a failure")
    desk.answer("failed")
    desk.page.mouse.move(5, 5)
    find_nothing(desk.page)
    desk.page.click("#model-picker summary")
    desk.page.locator("#models button").first.wait_for()
    find_nothing(desk.page)
    desk.page.keyboard.press("Escape")
    desk.page.get_by_role("button", name="Rename").click()
    find_nothing(desk.page)


@pytest.mark.parametrize("page", THEMES, indirect=True)
def test_settings_and_history(desk: Desk):
    desk.user.stream("Something to find /fast")
    for path in (
        "/settings",
        "/settings/providers/custom",
        "/history",
        "/history?q=find",
        "/accounts/password",
    ):
        desk.open(path)
        find_nothing(desk.page)


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 320, "height": 640}, "has_touch": True}], indirect=True
)
def test_a_small_phone(desk: Desk):
    desk.script(RICH)
    desk.send("Everything, please")
    desk.answer()
    find_nothing(desk.page)
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 320
    desk.page.get_by_label("Open the list of conversations").click()
    desk.page.wait_for_timeout(250)
    find_nothing(desk.page)


@pytest.mark.parametrize("page", THEMES, indirect=True)
def test_the_transcript_in_the_admin(page, sqlite_server):
    session_id = sqlite_server.admin().stream("For the administrator /reason /fast")[0].data["sessionId"]
    sign_in(page, sqlite_server, sqlite_server.admin())
    page.goto(f"{sqlite_server.base_url}/admin/chat/chatsession/{session_id}/change/")
    page.locator(".said.assistant .prose").wait_for()
    results = Axe().run(page, context=".transcript")
    assert [violation["id"] for violation in results.response["violations"]] == []
