"""The line above the first message that the model was sent, and the choice of how much that is."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import sign_in
from tests.server import Server, User
from tests.upstream import Hold, Upstream

from .desk import Desk


def talked(user: User, upstream: Upstream, turns: int) -> str:
    """Return a conversation of that number of questions and answers."""
    model = upstream.script("ok")
    session = str(user.stream("question 0", "custom", model).session["sessionId"])
    for number in range(1, turns):
        user.stream(f"question {number}", "custom", model, sessionId=session)
    return session


def line_stands_above(page: Page, count: int, question: str) -> None:
    expect(page.locator(".not-sent")).to_have_text(f"{count} earlier messages were not sent to the model")
    below = page.locator(".not-sent + .message .bubble")
    expect(below).to_have_text(re.compile(f"^{question}$"))


def test_the_line_is_drawn_while_the_answer_is_written_and_after_a_reload(desk: Desk):
    session = talked(desk.user, desk.upstream, 10)
    desk.open(f"/c/{session}")
    model = desk.script("word", Hold())
    expect(desk.page.locator(".not-sent")).to_have_count(0)

    desk.send("question 10")
    line_stands_above(desk.page, 10, "question 5")
    model.release()
    desk.answer()

    desk.page.reload()
    line_stands_above(desk.page, 10, "question 5")
    # Deleting the question takes the line away: its answer was sent less than the others.
    desk.page.locator(".message.user").last.hover()
    desk.page.locator(".message.user [data-delete]").last.click()
    desk.page.evaluate("dispatchEvent(new Event('pagehide'))")
    expect(desk.page.locator(".message.user")).to_have_count(10)
    desk.page.reload()
    expect(desk.page.locator(".message.user")).to_have_count(10)
    expect(desk.page.locator(".not-sent")).to_have_count(0)


def test_all_that_the_model_takes_is_chosen_beside_the_model(desk: Desk):
    session = talked(desk.user, desk.upstream, 11)
    desk.open(f"/c/{session}")
    line_stands_above(desk.page, 10, "question 5")
    desk.script("ok")
    desk.page.click("#model-picker summary")
    desk.page.get_by_label("Sent to the model").select_option("full")
    desk.page.press("#context", "Escape")

    desk.send("question 11")
    desk.answer()

    expect(desk.page.locator(".not-sent")).to_have_count(0)
    context = desk.stored()[-1]["context"]
    assert isinstance(context, dict) and context["omitted"] == 0
    desk.open("/")
    assert desk.page.locator("#context").input_value() == "full"


@pytest.mark.parametrize("page", [{"java_script_enabled": False}, {"locale": "zh-CN"}], indirect=True)
def test_the_line_is_there_without_scripts_and_in_chinese(
    page: Page, sqlite_server: Server, alice: User, upstream: Upstream, request: pytest.FixtureRequest
):
    session = talked(alice, upstream, 11)
    sign_in(page, sqlite_server, alice)
    page.goto(f"{sqlite_server.base_url}/c/{session}")

    if "locale" in request.node.callspec.params["page"]:
        expect(page.locator(".not-sent")).to_have_text("更早的 10 条消息没有发给模型")
    else:
        line_stands_above(page, 10, "question 5")
