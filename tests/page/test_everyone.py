"""What axe finds in the pages: nothing, in any state, theme, language or width; and no page is too wide."""

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser import sign_in
from tests.page.desk import Desk
from tests.upstream import Hold, Reasoning

WIDTHS = (1440, 768, 375, 320)
LANGUAGES = [pytest.param({"locale": locale}, id=locale) for locale in ("en-US", "zh-CN")]
RICH = """# One

A paragraph with `code`, **strong** words and [a link](https://example.org/a/rather/long/path/that/goes/on).

| a | b | a column with a longer heading | and one more of them |
|---|---|---|---|
| 1 | 2 | 三 | averyveryveryverylongwordthatdoesnotbreakanywhere |

```python
print("one line of code that is longer than any phone is wide, and has to scroll within its own box")
```

> quote

1. `x`
2. 二
   - nested

averyveryveryveryveryveryveryveryveryverylongwordthatdoesnotbreakanywhereatallbutmust
"""
AXE = Axe()
CONTRAST_ONLY = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}

SETTLED = """Promise.all(document.getAnimations().filter((one) => one instanceof CSSTransition)
  .map((transition) => transition.finished.catch(() => null))).then(() => true)"""

TOO_WIDE = """(width) => [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > width)
  .map((element) => `${element.outerHTML.slice(0, 90)} ends at ${element.getBoundingClientRect().right}`)
"""

each_language = pytest.mark.parametrize("page", LANGUAGES, indirect=True)


def find_nothing(page: Page, *, widths: tuple[int, ...] = WIDTHS, context: str | None = None) -> None:
    """Run axe at the widest and the narrowest width, and look in all widths for what is too wide.

    Words and their room differ between languages, colours do not: Chinese is checked at its narrowest, in the
    light theme. The dark theme's colours are checked once.
    """
    page.mouse.move(0, 0)
    themes: dict[int, tuple[Literal["light", "dark"], ...]] = {
        widths[0]: ("light", "dark"),
        widths[-1]: ("light",),
    }
    if page.get_attribute("html", "lang") == "zh-hans":
        del themes[widths[0]]
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900 if width > 700 else 740})
        for theme in themes.get(width, ()):
            page.emulate_media(color_scheme=theme)
            page.evaluate(SETTLED)
            # What the width decides has been looked at once; colours are what differs.
            found = violations(page, CONTRAST_ONLY if theme == "dark" else {}, context)
            assert not found, f"{width} px, {theme}:\n" + "\n".join(found)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(TOO_WIDE, width)
    page.set_viewport_size({"width": 1440, "height": 900})


def violations(page: Page, options: dict[str, Any], context: str | None = None) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    arguments = AXE._format_script_args(context=context, options=options | {"resultTypes": ["violations"]})
    results = page.evaluate(f"axe.run({arguments})")
    return [
        f"{violation['id']} ({violation['impact']}): "
        + "; ".join(f"{node['target']} {node['failureSummary']}" for node in violation["nodes"][:3])
        for violation in results["violations"]
    ]


@each_language
def test_signing_in_and_registering(page, sqlite_server):
    for path in ("/accounts/login", "/accounts/register", "/nowhere"):
        page.goto(f"{sqlite_server.base_url}{path}")
        find_nothing(page)
    page.goto(f"{sqlite_server.base_url}/accounts/register")
    page.fill("[name=username]", "two words")
    page.fill("[name=password1]", "1")
    page.fill("[name=password2]", "2")
    page.press("[name=password2]", "Enter")
    page.locator(".errors").first.wait_for()
    find_nothing(page)


@each_language
def test_an_empty_account(page, sqlite_server):
    sign_in(page, sqlite_server, sqlite_server.user())
    page.locator(".first-steps").wait_for()
    find_nothing(page)
    page.goto(f"{sqlite_server.base_url}/history")
    find_nothing(page)


@each_language
def test_waiting_for_the_first_word(desk: Desk):
    waiting = desk.script(Hold(), "At last.")
    desk.send("Everything, please, and take your time with it")
    desk.page.locator(".waiting").wait_for()
    find_nothing(desk.page, widths=(1440, 375))
    waiting.release()
    desk.answer()


@each_language
def test_a_running_answer(desk: Desk):
    running = desk.script(Reasoning("Let me think."), RICH, Hold(), "The end.")
    desk.send("Everything, please")
    desk.page.locator(".message.answer").get_by_text("A paragraph with").wait_for()
    find_nothing(desk.page)
    running.release()
    desk.answer()


@each_language
def test_a_long_conversation(desk: Desk):
    session_id = None
    model = desk.upstream.script(Reasoning("hm"), RICH)
    for number in range(4):
        question = f"Question {number}: " + "word " * 60
        answer = desk.user.stream(question, "custom", model, sessionId=session_id)
        session_id = answer[0].data["sessionId"]
    desk.open(f"/c/{session_id}")
    desk.page.locator(".reasoning summary").last.click()
    find_nothing(desk.page)
    desk.page.locator(".message.answer").last.hover()
    assert not violations(desk.page, {})


@each_language
def test_an_answer_that_failed(desk: Desk):
    desk.choose("custom", desk.upstream.failing(401))
    desk.send("A failure, please")
    desk.answer("failed")
    find_nothing(desk.page)


@each_language
def test_what_opens(desk: Desk):
    page = desk.page
    desk.script("Short.")
    desk.send("Hello there")
    desk.answer()
    page.click("#model-picker summary")
    page.locator("#models button").first.wait_for()
    find_nothing(page)
    page.keyboard.press("Escape")
    for opener in ("[data-again-with]", "#session-list [data-menu]", ".topbar [data-menu]", "[data-edit]"):
        if page.locator(opener).count() == 0:
            continue
        page.locator(".message.user").hover()
        page.locator(opener).last.click()
        assert not violations(page, {}), opener
        page.emulate_media(color_scheme="light")
        assert not violations(page, CONTRAST_ONLY), opener
        page.keyboard.press("Escape")


@each_language
def test_dialogs_and_notes_of_deletion(desk: Desk):
    page = desk.page
    desk.script("Short.")
    desk.send("Hello there")
    desk.answer()
    for dialog in page.locator("dialog").all():
        dialog.evaluate("(dialog) => dialog.showModal()")
        find_nothing(page, widths=(1440, 320))
        dialog.evaluate("(dialog) => dialog.close()")
    page.locator(".message.answer [data-delete]").click()
    find_nothing(page, widths=(1440, 320))


@each_language
def test_the_drawer_of_a_phone(desk: Desk):
    desk.user.stream("Something in the list /fast")
    desk.page.set_viewport_size({"width": 375, "height": 740})
    desk.open("/")
    desk.page.locator("[data-drawer=open]").click()
    desk.page.locator("#sidebar .drawer-close").wait_for()
    desk.page.evaluate(SETTLED)
    find_nothing(desk.page, widths=(375, 320))


@pytest.mark.long
@each_language
def test_settings_and_history(desk: Desk):
    page = desk.page
    desk.user.stream("Something to find /fast")
    desk.upstream.script("one of the models that are listed")
    for path in (
        "/settings",
        "/history",
        "/history?q=find",
        "/history?q=nothing-like-it",
        "/accounts/password",
    ):
        desk.open(path)
        find_nothing(page)
    desk.open("/settings/providers/custom")
    page.locator("summary").last.click()
    page.locator("#defaultModel:not([list])").wait_for()  # the page's script is there
    page.click("#test")
    page.locator(".test-result.good, .test-result.bad").wait_for()
    page.focus("#defaultModel")
    page.locator("#known-list button").first.wait_for()
    find_nothing(page)
    desk.user.configure("custom:lab", baseUrl=desk.upstream.base_url, headers={"x-team": "blue"})
    desk.open("/settings/providers/custom:lab")
    page.locator("details.extras summary").click()
    find_nothing(page)
    desk.open("/settings/providers/openai")
    page.fill("#baseUrl", "ftp://example.org")
    page.locator("#provider-form .primary").click()
    page.locator("#baseUrl-errors").wait_for()
    find_nothing(page)


TOUCHED = """button, select, summary, input, textarea, a.button, .row, .chips a, .segments label,
    #session-list li > a"""
TOO_SMALL = """(touched) => [...document.querySelectorAll(touched)]
  .filter((element) => element.checkVisibility({ visibilityProperty: true }))
  .map((element) => element.matches("[type=checkbox], [type=radio]") ? element.closest("label") : element)
  .map((element) => [element.outerHTML.slice(0, 120), element.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.height < 43.5 || box.width < 43.5))
  .map(([html, box]) => `${html} ${box.width.toFixed()}x${box.height.toFixed()}`)
"""


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}], indirect=True
)
def test_whatever_is_touched_is_large_enough(desk: Desk):
    def none_too_small() -> None:
        assert desk.page.evaluate(TOO_SMALL, TOUCHED) == [], desk.page.url

    for path in ("/", "/settings", "/settings/providers/custom", "/history", "/accounts/password"):
        desk.open(path)
        none_too_small()
    desk.open("/")
    desk.script(Reasoning("hm"), RICH)
    desk.send("Everything, please")
    desk.answer()
    none_too_small()
    desk.page.locator("#model-picker summary").tap()
    desk.page.locator("#models button").first.wait_for()
    none_too_small()
    desk.page.keyboard.press("Escape")
    desk.page.locator("[data-drawer=open]").tap()
    desk.page.evaluate(SETTLED)
    none_too_small()


@pytest.mark.parametrize("page", [{"reduced_motion": "reduce"}], indirect=True)
def test_nothing_moves_for_whoever_asked_for_that(desk: Desk):
    running = desk.script("Half", Hold(), " done.")
    desk.send("Slowly, please")
    desk.page.get_by_text("Half").last.wait_for()

    moving = desk.page.evaluate("document.getAnimations({ subtree: true }).length")
    running.release()
    assert moving == 0
    durations = desk.page.evaluate(
        "[...document.querySelectorAll('*')].map((e) => getComputedStyle(e).transitionDuration)"
    )
    assert set(durations) == {"0s"}


def test_a_printed_page_is_the_conversation_alone(desk: Desk):
    page = desk.page
    desk.script(RICH)
    desk.send("For the printer")
    desk.answer()
    page.emulate_media(media="print", color_scheme="dark")

    for gone in ("#sidebar", ".dock", ".actions", ".title-actions", ".code-copy"):
        assert not any(found.is_visible() for found in page.locator(gone).all()), gone
    for there in (".bubble", ".message.answer .prose table", "#title"):
        assert page.locator(there).first.is_visible(), there
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    accent = page.evaluate("getComputedStyle(document.querySelector('.prose a')).color")
    assert accent == "rgb(44, 106, 90)"  # the light theme's, on white paper


@each_language
def test_the_transcript_in_the_admin(page, sqlite_server):
    session_id = sqlite_server.admin().stream("For the administrator /reason /fast")[0].data["sessionId"]
    sign_in(page, sqlite_server, sqlite_server.admin())
    page.goto(f"{sqlite_server.base_url}/admin/chat/chatsession/{session_id}/change/")
    page.locator(".said.assistant .prose").wait_for()
    find_nothing(page, context=".transcript")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_heading_of_the_admins_forms_can_be_seen(page, sqlite_server, theme):
    sign_in(page, sqlite_server, sqlite_server.admin())
    page.emulate_media(color_scheme=theme)
    for path in (
        "/admin/",
        "/admin/accounts/user/1/change/",
        "/admin/auth/group/add/",
        "/admin/chat/mode/add/",
    ):
        page.goto(f"{sqlite_server.base_url}{path}")
        assert violations(page, CONTRAST_ONLY) == [], path
