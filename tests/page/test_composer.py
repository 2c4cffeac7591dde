"""Where messages are written: drafts, what was chosen, input methods."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sign_in
from tests.page.desk import Desk, until
from tests.server import Server

KEPT = "Object.keys(localStorage).filter((key) => key.startsWith('chat:') && !key.includes('sent:'))"


def compose(page: Page, text: str) -> None:
    """Let an input method compose, and choose its word with Enter, as Chinese is written."""
    keyboard = page.context.new_cdp_session(page)
    keyboard.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    for kind in ("rawKeyDown", "keyUp"):
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        keyboard.send("Input.dispatchKeyEvent", {"type": kind} | key)
    keyboard.send("Input.insertText", {"text": text})
    keyboard.detach()


def test_enter_of_an_input_method_sends_nothing(desk: Desk):
    page = desk.page
    desk.script("好")
    page.focus("#message")
    compose(page, "你好")
    expect(page.locator("#message")).to_have_value("你好")
    expect(page.locator(".bubble")).to_have_count(0)
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("line two")

    page.keyboard.press("Enter")

    expect(page.locator(".bubble")).to_have_text("你好\nline two")
    desk.answer()
    page.get_by_role("button", name="Rename").click()
    page.locator(".rename-field").fill("")
    compose(page, "标题")
    expect(page.locator(".rename-field")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("标题")


def test_enter_with_the_key_code_of_input_methods_sends_nothing(desk: Desk):
    desk.page.fill("#message", "ni hao")
    desk.page.eval_on_selector(
        "#message",
        """(area) => {
            for (const keyCode of [13, 229]) {
                const how = { keyCode, isComposing: keyCode === 13, bubbles: true, cancelable: true };
                area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ...how }));
            }
        }""",
    )
    desk.page.press("#message", "Shift+Enter")

    expect(desk.page.locator(".bubble")).to_have_count(0)
    expect(desk.page.locator("#message")).to_have_value("ni hao\n")


def test_each_conversation_keeps_its_draft_until_one_signs_out(desk: Desk):
    page = desk.page
    desk.script("fine")
    desk.send("Here")
    desk.answer()
    here = page.url
    page.fill("#message", "unfinished here")
    desk.open("/")
    expect(page.locator("#message")).to_have_value("")
    page.fill("#message", "unfinished elsewhere")
    page.goto(here)
    expect(page.locator("#message")).to_have_value("unfinished here")
    page.reload()
    expect(page.locator("#message")).to_have_value("unfinished here")
    expect(page.locator("#send")).to_be_enabled()
    desk.open("/")
    expect(page.locator("#message")).to_have_value("unfinished elsewhere")
    assert len(page.evaluate(KEPT)) == 2

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login**")

    assert page.evaluate("Object.keys(localStorage)") == []


def test_signing_out_in_the_admin_leaves_no_draft_either(page: Page, sqlite_server: Server):
    sign_in(page, sqlite_server, sqlite_server.admin())
    page.fill("#message", "for nobody else")
    until(page, "Object.keys(localStorage).length > 0")
    page.goto(f"{sqlite_server.base_url}/admin/")

    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login**")

    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_browser_that_keeps_nothing_can_chat(desk: Desk):
    page = desk.page
    page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) {
            Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
        }"""
    )
    page.reload()
    desk.script("all the same")
    desk.send("Without a memory")

    expect(desk.answer().locator(".prose")).to_have_text("all the same")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.wait_for_url(desk.server.base_url + "/")


def test_what_was_chosen_is_remembered(desk: Desk):
    page = desk.page
    desk.script("one")
    desk.send("First")
    desk.answer()
    first = page.url
    # The provider alone is stored first.
    with page.expect_response(lambda response: "demo-reasoning" in (response.request.post_data or "")):
        desk.choose("demo", "demo-reasoning")
    page.reload()
    expect(page.locator("#model-shown")).to_have_text("Demo · demo-reasoning")
    page.click("text=New chat")
    expect(page.locator("#model-shown")).to_have_text("Demo · demo-reasoning")

    model = desk.script("two")
    desk.send("Second")
    desk.answer()

    desk.open("/")
    expect(page.locator(".chosen-model")).to_have_text(model)
    page.goto(first)
    expect(page.locator(".chosen-model")).to_have_text("demo-reasoning")


def test_models_come_from_the_provider_and_are_found_by_typing_alone(desk: Desk):
    page = desk.page
    wanted = desk.upstream.script("found")
    desk.choose("custom", "nothing-yet")
    page.focus("#model-picker summary")
    page.keyboard.press("Enter")
    field = page.locator("#model")
    field.focus()
    page.locator("#models button").first.wait_for()
    page.keyboard.type(wanted[-8:].upper())
    expect(page.locator("#models button")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#models button")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator(".chosen-model")).to_have_text(wanted)
    expect(page.locator("#message")).to_be_focused()


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 375, "height": 720}, "has_touch": True}], indirect=True
)
def test_on_a_phone_enter_is_a_new_line(desk: Desk):
    desk.page.fill("#message", "one")
    desk.page.press("#message", "Enter")

    expect(desk.page.locator("#message")).to_have_value("one\n")
    expect(desk.page.locator("#message")).to_have_attribute("enterkeyhint", "enter")


def test_the_length_limit_is_told_before_sending(desk: Desk):
    page = desk.page
    model = desk.script("short enough")
    message, counter = page.locator("#message"), page.locator("#characters")
    expect(message).to_have_attribute("enterkeyhint", "send")
    message.fill("好" * 28_000)
    expect(counter).to_be_hidden()
    # An emoji is two units of JavaScript and one character of the server.
    message.fill("𝄞" * 31_999)
    expect(counter).to_have_text("Characters left: 1")
    message.fill("𝄞" * 32_001)
    expect(counter).to_have_text("Too long by 1: a message has at most 32,000 characters.")
    expect(message).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#announcer")).to_contain_text("Too long")

    message.press("Enter")
    expect(page.locator(".bubble")).to_have_count(0)
    message.fill("𝄞" * 32_000)
    message.press("Enter")

    desk.answer()
    assert desk.stored()[0]["content"] == "𝄞" * 32_000
    assert len(model.requests) == 1
