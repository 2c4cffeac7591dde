"""What a person does with messages: another wording, another answer, another branch, none at all."""

from playwright.sync_api import expect

from tests import waiting
from tests.page.desk import Desk


def test_a_question_is_edited_into_a_branch(desk: Desk):
    page = desk.page
    desk.script("first answer")
    desk.send("First wording")
    desk.answer()
    desk.script("second answer")
    page.evaluate("window.stayed = true")
    page.get_by_role("button", name="Edit the message").click()
    editor = page.locator(".editor textarea")
    expect(editor).to_be_focused()
    expect(editor).to_have_value("First wording")
    page.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    expect(page.get_by_role("button", name="Edit the message")).to_be_focused()

    page.keyboard.press("Enter")
    editor.fill("Second")
    editor.press("End")
    editor.press("Enter")
    editor.press_sequentially("wording")
    editor.press("Control+Enter")

    expect(desk.answer().locator(".prose")).to_have_text("second answer")
    expect(page.locator(".bubble")).to_have_text("Second\nwording")
    question = page.locator(".message.user")
    expect(question.locator(".count")).to_have_text("2 / 2")
    question.get_by_role("button", name="Previous version").click()
    expect(page.locator(".bubble")).to_have_text("First wording")
    expect(desk.answer().locator(".prose")).to_have_text("first answer")
    expect(question.get_by_role("button", name="Next version")).to_be_focused()
    page.keyboard.press("Enter")
    expect(desk.answer().locator(".prose")).to_have_text("second answer")
    assert page.evaluate("window.stayed"), "choosing a branch loads no new page"
    assert [message["content"] for message in desk.stored()] == ["Second\nwording", "second answer"]


def test_an_edit_that_is_refused_keeps_its_words(desk: Desk):
    page = desk.page
    desk.script("first")
    desk.send("As it was")
    desk.answer()
    desk.script("second")
    page.route("**/edit", lambda route: route.fulfill(status=503, json={"error": "Not now.", "code": "busy"}))
    page.get_by_role("button", name="Edit the message").click()
    page.locator(".editor textarea").fill("As it shall be")
    page.locator(".editor").get_by_role("button", name="Send").click()
    expect(page.locator(".trouble")).to_contain_text("Not now.")
    expect(page.locator(".editor textarea")).to_have_value("As it shall be")

    page.unroute("**/edit")
    page.locator(".trouble").get_by_role("button", name="Try again").click()

    expect(page.locator(".bubble")).to_have_text("As it shall be")
    expect(desk.answer().locator(".prose")).to_have_text("second")


def test_another_answer_stands_beside_the_first(desk: Desk):
    desk.script("first")
    desk.send("Which?")
    first = desk.answer()
    desk.script("second")
    first.get_by_role("button", name="Answer again").click()
    expect(desk.answer().locator(".prose")).to_have_text("second")
    expect(desk.answer().locator(".count")).to_have_text("2 / 2")

    desk.answer().get_by_role("button", name="Previous version").click()

    expect(desk.answer().locator(".prose")).to_have_text("first")
    expect(desk.answer().locator(".count")).to_have_text("1 / 2")


def test_another_model_is_chosen_beside_the_button(desk: Desk):
    page = desk.page
    desk.script("from the first")
    desk.send("And you?")
    desk.answer()
    other = desk.upstream.script("from the other")
    page.get_by_role("button", name="Choose another model for this").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Model", exact=True).fill(other)
    panel.get_by_label("Model", exact=True).press("Enter")
    expect(panel.get_by_role("button", name="Answer again")).to_be_focused()
    page.keyboard.press("Enter")

    expect(desk.answer().locator(".prose")).to_have_text("from the other")
    expect(desk.answer().locator(".model")).to_have_text(other)
    expect(panel).to_be_hidden()
    expect(page.locator(".chosen-model")).to_have_text(other)


def test_words_are_copied_as_they_were_written(desk: Desk):
    page = desk.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.script("**bold** & <b>")
    desk.send("Two\nlines  of mine")
    desk.answer()

    page.get_by_role("button", name="Copy the message").click()
    assert page.evaluate("navigator.clipboard.readText()") == "Two\nlines  of mine"
    page.get_by_role("button", name="Copy the answer").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()) === '**bold** & <b>'")


def test_a_deleted_message_can_be_had_back_and_is_gone_for_good_with_the_next_one(desk: Desk):
    page = desk.page
    for number in range(2):
        desk.script(f"answer {number}")
        desk.send(f"question {number}")
        desk.answer()
    page.get_by_role("button", name="Delete the message").last.press("Enter")
    expect(page.locator(".message:visible")).to_have_count(2)
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    assert len(desk.stored()) == 4, "nothing is deleted while it can be undone"
    page.keyboard.press("Enter")
    expect(page.locator(".message:visible")).to_have_count(4)

    page.get_by_role("button", name="Delete the message").last.click()
    desk.script("another answer")
    desk.send("another question")

    expect(desk.answer().locator(".prose")).to_have_text("another answer")
    contents = [message["content"] for message in desk.stored()]
    assert contents == ["question 0", "answer 0", "another question", "another answer"]


def test_signing_out_deletes_what_was_to_be_deleted(desk: Desk):
    desk.script("to be deleted")
    desk.send("Keep this")
    desk.answer().get_by_role("button", name="Delete the answer").click()
    expect(desk.page.locator(".message.answer")).to_be_hidden()
    session = desk.session_id

    desk.page.locator("#sign-out button").click()
    desk.page.wait_for_url("**/accounts/login**")

    assert [message["role"] for message in desk.user.messages(session)] == ["user"]
    assert desk.page.evaluate("Object.keys(localStorage).filter((key) => key.includes('deleted'))") == []


def test_leaving_the_page_deletes_what_was_to_be_deleted(desk: Desk):
    page = desk.page
    desk.script("an answer nobody wants")
    desk.send("Keep me")
    desk.answer()
    session = desk.session_id
    page.get_by_role("button", name="Delete the answer").click()
    page.goto(f"{desk.server.base_url}/history")
    waiting.until(lambda: len(desk.user.messages(session)) == 1, every=0.1)
    desk.open(f"/c/{session}")

    expect(page.locator(".message")).to_have_count(1)
    desk.script("a better one")
    page.get_by_role("button", name="Answer this").click()
    expect(desk.answer().locator(".prose")).to_have_text("a better one")
    assert [message["content"] for message in desk.stored()] == ["Keep me", "a better one"]
