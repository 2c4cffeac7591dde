"""What the page shows of answers without a word, of other models, and of reasoning that came as text."""

import re

from playwright.sync_api import Page, expect

from tests.page.desk import Desk
from tests.upstream import Hold, Reasoning

NO_ANSWER = "The model thought about it, but wrote no answer."


def test_an_answer_without_a_word_says_why_and_offers_another(page: Page, desk: Desk) -> None:
    desk.open()
    desk.script(Reasoning("Four, surely."))
    desk.send("Two and two?")

    answer = desk.answer()
    expect(answer.locator(".trouble p")).to_have_text(NO_ANSWER)
    expect(answer.get_by_role("button", name="Try again")).to_be_visible()
    page.reload()
    expect(desk.answer().locator(".trouble p")).to_have_text(
        "The model thought about it, but wrote no answer."
    )


def test_another_model_stands_beside_the_one_that_was_chosen(page: Page, desk: Desk) -> None:
    desk.open()
    choice = {"index": 0, "message": {"content": "Four."}, "finish_reason": "stop"}
    desk.script(body={"model": "quite-another", "choices": [choice]})
    desk.send("Two and two?")

    expect(desk.answer().locator(".byline .served")).to_have_text("answered by quite-another")


def test_text_that_was_reasoning_moves_while_the_answer_is_written(page: Page, desk: Desk) -> None:
    desk.open()
    model = desk.script(
        "Two and two ", "make", Hold(), " four.", "\n</think>\n\n", "**4**", Hold(), " in all"
    )
    desk.send("Two and two?")
    expect(desk.live()).to_contain_text("Two and two make")

    model.release()

    answer = desk.answer()
    expect(answer.locator(".prose")).to_have_text("4 in all")
    expect(answer.locator(".reasoning-text")).to_have_text("Two and two make four.")
    expect(answer.locator(".reasoning summary")).to_have_text(re.compile(r"Thought for \d+ s"))
    page.reload()
    expect(desk.answer().locator(".prose")).to_have_text("4 in all")
