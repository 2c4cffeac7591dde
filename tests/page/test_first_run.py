"""What somebody meets who has just registered."""

import pytest
from playwright.sync_api import expect

from tests.browser import sign_in
from tests.page.desk import at_rest


@pytest.fixture
def newcomer(page, sqlite_server):
    sign_in(page, sqlite_server, sqlite_server.user())
    return page


def test_a_suggestion_is_answered_as_soon_as_it_can_be(newcomer):
    newcomer.route("**/chat/page*.js", lambda route: None)
    with newcomer.expect_request("**/chat/page*.js"):
        newcomer.reload(wait_until="commit")
    suggestion = newcomer.locator("[data-suggestion]").first
    words = suggestion.inner_text()
    expect(suggestion).to_be_disabled()
    newcomer.unroute("**/chat/page*.js")  # lets go of what was held
    suggestion.click()

    newcomer.locator(".message.answer[data-status=complete]").wait_for()
    expect(newcomer.locator(".message.user .bubble")).to_have_text(words)


def test_two_steps_lead_to_ones_own_model(newcomer, upstream):
    steps = newcomer.locator(".first-steps")
    expect(steps).to_contain_text("two steps")
    steps.get_by_role("link", name="OpenAI-compatible server").click()
    newcomer.fill("#baseUrl", upstream.base_url)
    newcomer.fill("#defaultModel", upstream.script("From a model of my own."))
    newcomer.locator("#defaultModel:not([list])").wait_for()  # the page's script is there
    newcomer.get_by_role("button", name="Test").click()
    expect(newcomer.locator("#test-result")).to_contain_text("It works")
    newcomer.get_by_role("button", name="Save").click()
    newcomer.get_by_role("link", name="New chat").click()

    expect(newcomer.locator(".first-steps")).to_have_count(0)
    newcomer.fill("#message", "Hello")
    newcomer.click("#send:enabled")
    expect(newcomer.locator(".message.answer")).to_contain_text("From a model of my own.")


@pytest.mark.parametrize("page", [{"locale": "zh-CN"}, {"locale": "en-US"}], indirect=True)
def test_every_provider_that_is_offered_is_there(newcomer):
    paths = newcomer.locator(".chips a").evaluate_all("links => links.map((link) => link.href)")

    assert len(paths) == 8
    assert {newcomer.request.get(path).status for path in paths} == {200}


@pytest.mark.parametrize("page", [{"viewport": {"width": 375, "height": 667}}], indirect=True)
def test_a_phone_begins_at_the_top(newcomer):
    assert at_rest(newcomer) == 0
    expect(newcomer.get_by_role("heading", name="What would you like to know?")).to_be_in_viewport()
