"""A browser with JavaScript off: reading, signing in and the settings work."""

import pytest
from playwright.sync_api import Page, expect

from tests.server import Server

pytestmark = pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)

KEY = "sk-without-any-script-4321"


@pytest.fixture
def reader(page: Page, sqlite_server: Server):
    """Somebody with a conversation, signed in by the form."""
    user = sqlite_server.user()
    user.stream("A question about lanterns /fast")
    page.goto(f"{sqlite_server.base_url}/accounts/login")
    page.fill("input[name=username]", user.username)
    page.fill("input[name=password]", user.password)
    page.get_by_role("button", name="Sign in").click()
    return page


def test_registering_leads_to_the_chat(page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/accounts/register")
    page.fill("input[name=username]", f"plain-{id(page):x}")
    for field in ("password1", "password2"):
        page.fill(f"input[name={field}]", "correct horse battery")
    page.get_by_role("button", name="Create an account").click()

    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(page.get_by_text("Writing needs JavaScript.")).to_be_visible()
    expect(page.locator("#composer")).to_be_hidden()


def test_conversations_are_read_and_found(reader, sqlite_server):
    reader.locator("#session-list a[href^='/c/']").first.click()
    expect(reader.locator(".bubble")).to_have_text("A question about lanterns /fast")
    expect(reader.locator(".message.answer .prose")).to_be_visible()

    reader.goto(f"{sqlite_server.base_url}/history")
    reader.locator("main input[type=search]").fill("lanterns")
    reader.locator("main").get_by_role("button", name="Search").click()
    reader.locator("main a[href^='/c/']").first.click()
    expect(reader.locator(".bubble")).to_contain_text("lanterns")


def test_the_settings_are_changed(reader, sqlite_server, upstream):
    reader.get_by_role("link", name="Settings").click()
    reader.get_by_label("Dark").check()
    reader.locator("#theme-form button").click()
    expect(reader.locator("html")).to_have_attribute("data-theme", "dark")
    expect(reader.get_by_label("Dark")).to_be_checked()

    reader.get_by_role("link", name="OpenAI-compatible server").click()
    reader.fill("#apiKey", KEY)
    reader.fill("#baseUrl", upstream.base_url)
    reader.get_by_role("button", name="Save and test").click()
    expect(reader.locator(".notice")).to_contain_text("they work")
    expect(reader.locator("#apiKey-help")).to_contain_text("••••4321")
    reader.get_by_text("Delete these settings").click()
    reader.get_by_role("button", name="Delete").click()
    expect(reader.locator(".notice")).to_contain_text("deleted")

    reader.get_by_role("button", name="Sign out everywhere else").click()
    expect(reader.locator(".notice")).to_contain_text("signed out everywhere but here")
    reader.select_option("#language", "zh-hans")
    reader.locator("form[action='/settings/language'] button").click()
    expect(reader.locator("h1")).to_have_text("设置")
    reader.locator("#sign-out button, form[action='/accounts/logout'] button").first.click()
    expect(reader.locator("input[name=username]")).to_be_visible()
