"""A conversation in a real browser, against a real server."""

import re
import secrets
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser import FLAGS, NAMES, new_context, sign_in
from tests.page.desk import Desk, at_rest, until
from tests.real_model import RealModel
from tests.upstream import Cut, Hold, Reasoning

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_newcomer_registers_and_is_answered_by_the_demo(page, sqlite_server):
    name = f"new-{secrets.token_hex(4)}"
    page.goto(f"{sqlite_server.base_url}/")
    page.click("text=Create an account")
    page.fill("[name=username]", name)
    page.fill("[name=password1]", "a long enough pass phrase")
    page.fill("[name=password2]", "a long enough pass phrase")
    page.click("button[type=submit]")
    page.fill("#message", "Good morning /fast")
    page.locator("#send:enabled").wait_for()
    page.press("#message", "Enter")

    answer = page.locator(".answer[data-status=complete]")
    expect(answer).to_contain_text("demo model")
    expect(answer.locator("strong")).to_have_text("demo model")
    expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    expect(page.locator("#title")).to_have_text("Good morning /fast")
    expect(page.locator("#session-list [aria-current=page]")).to_have_text(re.compile("Good morning /fast"))


def test_an_answer_shows_while_it_is_written_and_a_reload_shows_it_whole(desk: Desk):
    model = desk.script("The **first** half, ", Hold(), "and the *second*.")
    desk.send("Say it in two parts")
    expect(desk.live()).to_have_text("The first half,")
    expect(desk.page.locator("#session-list [data-answering]")).to_have_count(1)

    model.release()

    expect(desk.answer().locator(".prose")).to_have_text("The first half, and the second.")
    expect(desk.answer().locator("strong")).to_have_text("first")
    expect(desk.page.locator("#session-list [data-answering]")).to_have_count(0)
    expect(desk.page.locator("#announcer")).to_have_text("The answer is complete.")
    shown = desk.page.locator("#conversation").inner_text()
    desk.page.reload()
    expect(desk.answer()).to_be_visible()
    assert desk.page.locator("#conversation").inner_text() == shown
    expect(desk.page.locator(".bubble")).to_have_text("Say it in two parts")


@pytest.mark.parametrize("message", ["What is the capital of France?", "用一句话介绍一下杭州。"])
def test_a_real_model_answers_word_by_word(desk: Desk, real_model: RealModel, message: str):
    desk.user.configure("custom", baseUrl=real_model.base_url, apiKey="")
    desk.open("/")
    desk.choose("custom", real_model.name)
    desk.page.evaluate("""
        window.seen = new Set();
        new MutationObserver(() => {
            const live = document.querySelector("[data-live]");
            if (live) window.seen.add(live.textContent.length);
        }).observe(document.body, { childList: true, characterData: true, subtree: true });
    """)
    desk.send(message)
    over = ".answer:is([data-status=complete], [data-status=stopped])"
    until(desk.page, f"window.seen.size > 12 || document.querySelector('{over}') !== null")
    # It can go on for long. In one step: it can also end at this very moment.
    desk.page.evaluate("document.querySelector('[data-live]') && document.querySelector('#send').click()")
    ended = desk.page.locator(over)
    expect(ended).to_be_visible(timeout=30_000)

    real_model.wait_until_idle()
    source = ended.locator("template.source").evaluate("(template) => template.content.textContent")
    assert source
    assert source == desk.stored()[-1]["content"]
    assert desk.page.evaluate("window.seen.size") > 2
    shown = desk.page.locator("#conversation").inner_text()
    desk.page.reload()
    expect(ended).to_be_visible()
    assert desk.page.locator("#conversation").inner_text() == shown


def test_stop_keeps_what_had_arrived_and_continue_goes_on(desk: Desk):
    model = desk.script("kept ", Hold())
    desk.send("Never ending")
    expect(desk.live()).to_have_text("kept")
    desk.page.get_by_role("button", name="Stop").click()
    stopped = desk.answer("stopped")
    expect(stopped).to_contain_text("Stopped.")
    model.requests[0].wait_for_hang_up()

    stopped.get_by_role("button", name="Continue the answer").click()
    expect(desk.live()).to_have_text("kept kept")
    model.release()

    expect(desk.answer().locator(".prose")).to_have_text("kept kept")
    assert len(desk.stored()) == 2


def test_reasoning_is_folded_and_apart_from_the_answer(desk: Desk):
    model = desk.script(Reasoning("Let me see. "), Hold(), "42")
    desk.send("Think")
    thoughts = desk.page.locator(".reasoning")
    expect(thoughts.locator("summary")).to_contain_text("Thinking")
    expect(thoughts.locator(".reasoning-text")).to_be_hidden()

    model.release()

    expect(desk.answer().locator(".prose")).to_have_text("42")
    thoughts.locator("summary").click()
    expect(thoughts.locator(".reasoning-text")).to_have_text("Let me see.")


def test_a_failed_answer_says_what_happened_and_can_be_tried_again(desk: Desk):
    desk.choose("custom", desk.upstream.failing(401, "Incorrect API key provided: sk-of-alice-0123456789"))
    desk.send("Hello?")
    failed = desk.answer("failed")
    expect(failed.locator(".trouble")).to_contain_text("The provider refused the API key.")
    expect(failed.get_by_role("link")).to_have_attribute("href", "/settings/providers/custom")
    words = failed.locator(".own-words p")
    expect(words).to_be_hidden()
    failed.get_by_text("The provider's own words").click()
    expect(words).to_have_text("Incorrect API key provided: ***")
    assert "sk-of-alice" not in desk.page.content()

    desk.script("now it works")
    failed.get_by_role("button", name="Try again").click()

    expect(desk.answer().locator(".prose")).to_have_text("now it works")


def test_an_answer_that_breaks_off_keeps_its_beginning(desk: Desk):
    desk.script("Half of it", Cut(reset=True))
    desk.send("All of it")

    failed = desk.answer("failed")
    expect(failed.locator(".prose")).to_have_text("Half of it")
    expect(failed.get_by_role("button", name="Continue")).to_be_visible()


def test_the_reader_who_scrolled_away_is_left_alone(desk: Desk):
    model = desk.script(*("line\n\n" for _ in range(120)), Hold(), *("more\n\n" for _ in range(40)))
    desk.send("Long")
    expect(desk.live()).to_contain_text("line")
    page = desk.page
    until(page, "scrollY > 0 && innerHeight + scrollY > document.documentElement.scrollHeight - 100")
    page.mouse.move(700, 400)
    end = page.evaluate("scrollY")
    page.mouse.wheel(0, -1500)
    until(page, f"scrollY < {end}")
    place = at_rest(page)

    model.release()
    desk.answer()

    assert abs(page.evaluate("scrollY") - place) < 5
    page.locator("#to-end").click()
    until(page, "innerHeight + scrollY > document.documentElement.scrollHeight - 100")
    expect(page.locator("#to-end")).to_be_hidden()


def by_key(page: "Page") -> None:
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("PageUp")


def by_scrollbar(page: "Page") -> None:
    # A thumb that is dragged moves the page by a little, and by a little more.
    for _time in range(3):
        page.evaluate("document.scrollingElement.scrollTop -= 30")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_for_lines(page: "Page", *, more: int) -> None:
    shown = page.locator("[data-live] p").count()
    until(page, f"document.querySelectorAll('[data-live] p').length >= {shown + more}")


@pytest.mark.parametrize("leave", [by_key, by_scrollbar])
def test_the_reader_can_leave_the_end_of_an_answer_that_never_pauses(desk: Desk, leave):
    desk.script(*(f"line {number}\n\n" for number in range(600)), delay=0.03)
    desk.send("Long")
    page = desk.page
    expect(desk.live()).to_contain_text("line 60")
    until(page, "innerHeight + scrollY > document.documentElement.scrollHeight - 100")

    leave(page)
    place = at_rest(page)
    wait_for_lines(page, more=20)

    assert abs(page.evaluate("scrollY") - place) < 5
    expect(page.locator("#to-end")).to_be_visible()
    page.evaluate("document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight")
    wait_for_lines(page, more=20)
    until(page, "innerHeight + scrollY > document.documentElement.scrollHeight - 100")
    expect(page.locator("#to-end")).to_be_hidden()


def test_a_long_conversation_opens_at_its_end_and_goes_on_upwards(desk: Desk):
    desk.script("the very last")
    desk.send("the very first")
    desk.answer()
    fill(desk, pairs=120)

    desk.page.reload()

    expect(desk.page.locator(".message")).to_have_count(100)
    expect(desk.page.locator(".message").last).to_contain_text("answer 119")
    until(
        desk.page,
        "(scrollTo(0, 0), document.querySelector('.message').textContent.includes('the very first'))",
    )

    expect(desk.page.locator(".message")).to_have_count(242)
    expect(desk.page.get_by_role("link", name="Earlier messages")).to_have_count(0)
    ids = desk.page.eval_on_selector_all(".message", "(all) => all.map((one) => one.id)")
    assert ids == sorted(set(ids))


def fill(desk: Desk, *, pairs: int) -> None:
    """Let a conversation be long, through the API."""
    model = desk.upstream.script("answer")
    with desk.user.client() as client:
        for number in range(pairs):
            model = desk.upstream.script(f"answer {number}")
            body = {"message": f"question {number}", "provider": "custom", "model": model}
            answer = client.post("/api/chat/stream", json=body | {"sessionId": desk.session_id})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("page", [{"locale": "zh-CN"}], indirect=True)
def test_a_chinese_browser_gets_a_chinese_page(page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/accounts/login")

    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.locator("h1")).to_have_text("登录")


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 375, "height": 720}, "has_touch": True}], indirect=True
)
def test_on_a_phone_the_list_is_a_drawer(desk: Desk):
    page = desk.page
    expect(page.locator("#sidebar")).to_be_hidden()

    page.get_by_label("Open the list of conversations").click()
    expect(page.locator("#sidebar")).to_be_visible()
    expect(page.get_by_label("Close the list")).to_be_focused()
    page.keyboard.press("Escape")

    expect(page.locator("#sidebar")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_without_scripts_one_can_sign_in_read_and_search(browser, sqlite_server, alice, upstream):
    alice.stream("Read me without scripts", provider="custom", model=upstream.script("**yes**"))
    path = next(filter(None, map(shutil.which, NAMES)))
    # Playwright's own switch stops scripts, but lets the page believe that they run.
    scriptless = browser.browser_type.launch(
        executable_path=path, args=[*FLAGS, "--blink-settings=scriptEnabled=false"]
    )
    page = new_context(scriptless).new_page()
    sign_in(page, sqlite_server, alice)
    page.locator(".sidebar input[name=q]").fill("WITHOUT")
    page.locator(".sidebar input[name=q]").press("Enter")
    page.locator(".hits .excerpt").first.click()

    expect(page.locator(".answer strong")).to_have_text("yes")
    expect(page.get_by_text("Writing needs JavaScript")).to_be_visible()
    expect(page.locator("#composer")).to_be_hidden()
    expect(page.get_by_role("button", name="Answer again")).to_have_count(0)
    scriptless.close()
