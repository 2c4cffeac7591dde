"""One conversation in two tabs, or on two devices: a deletion loses nothing, and a refused send neither."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.page.desk import Desk
from tests.upstream import Hold

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def talk(desk: Desk, message: str, **body: object) -> str:
    model = desk.upstream.script("an answer")
    answer = desk.user.stream(message, provider="custom", model=model, **body)
    return str(answer.session["sessionId"])


def second_tab(desk: Desk, path: str) -> Desk:
    page = desk.page.context.new_page()
    tab = Desk(page, desk.server, desk.user, desk.upstream)
    tab.open(path)
    page.locator("#send").wait_for()
    return tab


def entry(page: "Page", session: str) -> "Locator":
    return page.locator(f"#session-list [data-session='{session}']")


def delete_from_list(desk: Desk, session: str) -> None:
    row = desk.page.locator("#session-list li", has=desk.page.locator(f"[data-session='{session}']"))
    row.hover()
    row.get_by_role("button").click()
    desk.page.get_by_role("menuitem", name="Delete").click()
    expect(entry(desk.page, session)).to_be_hidden()


def close_toast(page: "Page") -> None:
    page.locator(".toast").get_by_role("button", name="Close").click()


def test_a_question_in_another_tab_takes_a_deletion_back(desk: Desk):
    session = talk(desk, "Shared")
    desk.open("/")
    other = second_tab(desk, f"/c/{session}")
    delete_from_list(desk, session)
    note = other.page.locator(".deleted-note")
    expect(note).to_contain_text("This conversation was deleted in another tab.")

    other.script("still here")
    other.send("Wait, one more thing")

    other.answer()
    expect(note).to_have_count(0)
    expect(desk.page.locator(".toast")).to_contain_text("“Shared” is not deleted")
    expect(entry(desk.page, session)).to_be_visible()
    assert len(desk.user.messages(session)) == 4


def test_a_question_of_another_device_keeps_the_conversation(desk: Desk):
    session = talk(desk, "Shared")
    desk.open("/")
    delete_from_list(desk, session)
    talk(desk, "from the phone", sessionId=session)

    close_toast(desk.page)

    expect(desk.page.locator(".toast")).to_contain_text("“Shared” is not deleted")
    expect(entry(desk.page, session)).to_be_visible()
    assert len(desk.user.messages(session)) == 4


def test_an_answer_that_ends_during_the_undo_does_not_keep_its_conversation(desk: Desk):
    model = desk.script("one ", Hold(), "two")
    desk.send("Delete me while I am answered")
    expect(desk.live()).to_have_text("one")
    session = desk.session_id
    expect(entry(desk.page, session)).to_be_visible()
    desk.page.get_by_role("button", name="More actions").click()
    desk.page.get_by_role("menuitem", name="Delete").click()
    desk.page.wait_for_url(f"{desk.server.base_url}/")
    model.release()
    model.requests[0].wait_for_end()

    with desk.page.expect_response(f"**/api/chat/sessions/{session}?unchangedSince=*") as deleted:
        close_toast(desk.page)

    assert deleted.value.status == 200


def test_an_answer_below_a_message_that_is_being_deleted_is_kept(desk: Desk):
    session = talk(desk, "Shared")
    desk.open(f"/c/{session}")
    desk.page.get_by_role("button", name="Delete the answer").click()
    expect(desk.page.locator(".deleted-note")).to_be_visible()
    talk(desk, "from the phone", sessionId=session)

    # Whatever is done next carries the deletion out.
    desk.script("not asked")
    desk.send("and from here")

    expect(desk.page.locator("[data-notice=session_changed]")).to_contain_text("nothing was deleted")
    expect(desk.page.locator(".bubble").last).to_have_text("from the phone")
    expect(desk.page.locator("#message")).to_have_value("and from here")
    assert len(desk.user.messages(session)) == 4


@pytest.mark.parametrize("where", ["another tab", "another device"])
def test_an_open_page_says_that_its_conversation_is_gone(desk: Desk, where: str):
    session = talk(desk, "Soon gone")
    desk.open(f"/c/{session}")
    if where == "another tab":
        other = second_tab(desk, "/")
        delete_from_list(other, session)
        expect(desk.page.locator(".deleted-note")).to_be_visible()
        close_toast(other.page)
    else:
        desk.user.delete(f"/api/chat/sessions/{session}")
        desk.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    notice = desk.page.locator("[data-notice]")
    expect(notice).to_contain_text("This conversation is no longer there.")
    expect(desk.page.get_by_role("button", name="More actions")).to_be_hidden()
    expect(notice.get_by_role("link", name="New chat")).to_be_visible()
    expect(desk.page.locator(".message")).to_have_count(2)  # it can still be read


def test_a_question_to_a_deleted_conversation_stays_in_the_composer(desk: Desk):
    session = talk(desk, "Soon gone")
    desk.open(f"/c/{session}")
    desk.script("never asked")
    desk.user.delete(f"/api/chat/sessions/{session}")

    desk.send("Are you there?")

    expect(desk.page.locator("[data-notice]")).to_contain_text("This conversation is no longer there.")
    expect(desk.page.locator("#message")).to_have_value("Are you there?")
    expect(desk.page.locator(".message")).to_have_count(2)


def test_a_refused_question_leaves_the_page_as_it_was(desk: Desk):
    page = desk.page
    cut = desk.upstream.script("half a", finish="length")
    session = str(desk.user.stream("long", provider="custom", model=cut).session["sessionId"])
    desk.open(f"/c/{session}")
    go_on = page.get_by_role("button", name="Continue the answer")
    before = page.locator("#conversation").inner_html()
    refusal = {"error": "Too many requests.", "code": "rate_limited"}
    page.route("**/api/chat/**", lambda route: route.fulfill(status=429, json=refusal))
    for act in (lambda: desk.send("refused"), go_on.click):
        act()
        notice = page.locator("[data-notice=rate_limited]")
        expect(notice).to_be_visible()
        expect(page.locator("#message")).to_have_value("refused")
        notice.evaluate("(element) => element.remove()")
        assert page.locator("#conversation").inner_html() == before


def test_what_was_written_while_a_question_was_refused_is_kept_too(desk: Desk):
    page = desk.page
    refusal = {"error": "Too many requests.", "code": "rate_limited"}
    desk.script("never asked")
    answers = []
    page.route("**/api/chat/stream", lambda route: answers.append(route))
    with page.expect_request("**/api/chat/stream"):
        desk.send("first")
    page.fill("#message", "second")

    answers[0].fulfill(status=429, json=refusal)

    expect(page.locator("#message")).to_have_value("first\n\nsecond")
