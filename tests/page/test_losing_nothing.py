"""Whatever happens to the page, the network or the server: no words and no answers are lost."""

import re
import signal
import time

import pytest
from playwright.sync_api import Page, expect

from tests import waiting
from tests.browser import sign_in
from tests.page.desk import Desk, until
from tests.upstream import Hold, Script


def test_a_reload_in_the_middle_picks_the_answer_up_once(desk: Desk):
    model = desk.script("一二三\n\n𝄞 ", Hold(), "four & <five>")
    desk.send("Count")
    expect(desk.live()).to_contain_text("𝄞")
    desk.page.reload()
    expect(desk.live()).to_contain_text("𝄞")

    model.release()

    desk.answer()
    assert desk.stored()[-1]["content"] == "一二三\n\n𝄞 four & <five>"
    expect(desk.answer().locator(".prose")).to_contain_text("four & <five>")
    assert len(model.requests) == 1


def test_a_second_tab_follows_the_same_answer(desk: Desk):
    model = desk.script("one ", Hold(), "two")
    desk.send("Both of us")
    expect(desk.live()).to_have_text("one")
    other = desk.page.context.new_page()
    other.goto(desk.page.url)
    expect(other.locator("[data-live]")).to_have_text("one")

    model.release()

    expect(other.locator(".answer[data-status=complete] .prose")).to_have_text("one two")
    expect(desk.answer().locator(".prose")).to_have_text("one two")


def test_a_tab_that_was_open_already_follows_too(desk: Desk):
    desk.script("first")
    desk.send("Open it twice")
    desk.answer()
    other = desk.page.context.new_page()
    other.goto(desk.page.url)
    model = desk.script("one ", Hold(), "two")
    desk.send("And go on here")

    expect(other.locator(".bubble").last).to_have_text("And go on here")
    expect(other.locator("[data-live]")).to_have_text("one")
    model.release()

    expect(other.locator(".answer[data-status=complete] .prose").last).to_have_text("one two")
    assert len(desk.stored()) == 4


def test_a_tab_that_slept_is_up_to_date_when_it_wakes(desk: Desk):
    model = desk.script("before ", Hold(), "after")
    desk.send("Good night")
    expect(desk.live()).to_have_text("before")
    life = desk.page.context.new_cdp_session(desk.page)
    life.send("Page.setWebLifecycleState", {"state": "frozen"})

    model.release()
    model.requests[0].wait_for_end()
    life.send("Page.setWebLifecycleState", {"state": "active"})

    expect(desk.answer().locator(".prose")).to_have_text("before after")
    assert len(model.requests) == 1


def test_a_cut_connection_is_picked_up_where_it_was(desk: Desk):
    model = desk.script("before ", Hold(), "after")
    desk.send("Hold on")
    expect(desk.live()).to_have_text("before")
    desk.page.context.set_offline(True)
    # Going offline leaves open connections alone, so the page lets go of them itself.
    desk.page.evaluate("window.stop()")
    expect(desk.page.locator(".waiting-text")).to_contain_text("The connection is gone")
    desk.page.context.set_offline(False)

    model.release()

    expect(desk.answer().locator(".prose")).to_have_text("before after")
    assert len(model.requests) == 1


@pytest.mark.parametrize("end", ["asked to end", "killed"])
def test_a_server_that_restarts_gives_back_what_it_had(page: Page, make_server, upstream, end: str):
    server = make_server(CHAT_SHUTDOWN_GRACE_SECONDS="0.2")
    user = server.user()
    user.configure("custom", baseUrl=upstream.base_url, apiKey="sk-of-somebody-012345")
    sign_in(page, server, user)
    desk = Desk(page, server, user, upstream)
    model = desk.script("kept, ", Hold(), "and the rest")
    desk.send("Before the restart")
    expect(desk.live()).to_have_text("kept,")
    wait_until_kept(desk, "kept, ")

    if end == "killed":
        server.kill()
    else:
        server.stop(signal.SIGTERM)
    server.start()

    interrupted = page.locator(".answer[data-status=interrupted]")
    interrupted.wait_for(timeout=45_000)
    expect(interrupted.locator(".prose")).to_have_text("kept,")
    model.release()
    interrupted.get_by_role("button", name="Continue").first.click()
    expect(desk.answer().locator(".prose")).to_contain_text("and the rest")
    assert len(desk.stored()) == 2


def test_an_answer_whose_end_cannot_be_read_is_not_shown_as_finished(desk: Desk):
    model = desk.script("half ", Hold(), "and half")
    desk.send("Hold on")
    expect(desk.live()).to_have_text("half")
    # The stream still ends, and then the server is away.
    desk.page.route("**/c/**", lambda route: route.abort())

    model.release()

    expect(desk.page.locator(".waiting-text")).to_contain_text("The connection is gone")
    expect(desk.page.locator(".waiting-text")).to_be_visible()
    desk.page.unroute("**/c/**")
    expect(desk.answer().locator(".prose")).to_have_text("half and half")
    expect(desk.page.locator(".waiting")).to_have_count(0)


def wait_until_kept(desk: Desk, text: str) -> None:
    waiting.until(lambda: desk.stored()[-1]["content"] == text, every=0.1)


def test_a_send_without_network_loses_nothing(desk: Desk):
    desk.script("at last")
    desk.page.context.set_offline(True)
    desk.send("Precious words")
    notice = desk.page.locator(".trouble")
    expect(notice).to_contain_text("The server cannot be reached")
    expect(desk.page.locator("#message")).to_have_value("Precious words")

    desk.page.context.set_offline(False)
    notice.get_by_role("button", name="Try again").click()

    expect(desk.answer().locator(".prose")).to_have_text("at last")
    expect(notice).to_have_count(0)
    assert [message["content"] for message in desk.stored()] == ["Precious words", "at last"]


def test_a_request_whose_response_is_lost_is_repeated_under_its_key(desk: Desk):
    model = desk.script("only once")
    keys: list[str] = []

    def lose_the_first(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            route.continue_()
            return
        route.fetch()
        route.abort("connectionreset")

    desk.page.route("**/api/chat/stream", lose_the_first)
    desk.send("Say it once")

    expect(desk.answer().locator(".prose")).to_have_text("only once")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert len(model.requests) == 1
    assert len(desk.stored()) == 2


def test_words_sent_into_the_void_are_there_after_a_reload_and_keep_their_key(desk: Desk):
    model = desk.script("heard")
    keys: list[str] = []

    def swallow(route):
        keys.append(route.request.headers["idempotency-key"])

    desk.page.route("**/api/chat/stream", swallow)
    desk.send("Is anybody there?")
    expect(desk.page.locator(".bubble")).to_have_text("Is anybody there?")
    desk.page.reload()
    expect(desk.page.locator("#message")).to_have_value("Is anybody there?")
    expect(desk.page.locator(".chosen-model")).to_have_text(model)

    desk.page.unroute("**/api/chat/stream")
    with desk.page.expect_request("**/api/chat/stream") as sent:
        desk.page.press("#message", "Enter")

    desk.answer()
    assert [sent.value.headers["idempotency-key"]] == keys
    desk.page.reload()
    expect(desk.page.locator("#message")).to_have_value("")


def test_too_many_messages_are_counted_down(desk: Desk):
    desk.script("now")

    def refuse(route):
        body = {"error": "Too many messages. Wait a little.", "code": "rate_limited"}
        route.fulfill(status=429, json=body, headers={"Retry-After": "2"})

    desk.page.route("**/api/chat/stream", refuse)
    desk.send("Too fast")
    notice = desk.page.locator(".trouble")
    expect(notice).to_contain_text("Too many messages. Wait a little.")
    button = notice.get_by_role("button")
    expect(button).to_have_text(re.compile(r"Try again in [12] s"))
    expect(button).to_be_disabled()
    desk.page.unroute("**/api/chat/stream")

    expect(button).to_have_text("Try again")
    button.click()

    expect(desk.answer().locator(".prose")).to_have_text("now")


def test_a_countdown_goes_on_where_it_was_after_a_reload(desk: Desk):
    page = desk.page
    desk.choose("custom", desk.upstream.failing(429, headers={"Retry-After": "600"}))
    desk.send("Too much")
    button = desk.answer("failed").locator(".trouble").get_by_role("button")
    expect(button).to_have_text(re.compile(r"Try again in (600|59\d) s"))
    expect(button).to_have_text(re.compile(r"Try again in 59[0-7] s"))

    page.reload()

    expect(button).to_have_text(re.compile(r"Try again in 59[0-7] s"))
    expect(desk.page.get_by_role("button", name="Copy the answer")).to_have_count(0)


def test_signed_out_meanwhile_one_comes_back_with_the_words(desk: Desk):
    page = desk.page
    desk.script("unheard")
    page.context.clear_cookies(name="sessionid")
    desk.send("Are you there?")
    notice = page.locator(".trouble")
    expect(page.locator("#message")).to_have_value("Are you there?")
    expect(page.locator(".bubble")).to_have_count(0)

    notice.get_by_role("link", name="Sign in again").click()
    page.fill("input[name=username]", desk.user.username)
    page.fill("input[name=password]", desk.user.password)
    page.press("input[name=password]", "Enter")

    expect(page.locator("#message")).to_have_value("Are you there?")


def test_words_are_not_sent_in_the_name_of_who_signed_in_since(desk: Desk):
    desk.script("never")  # a model is chosen; the provider's list would be refused later on
    desk.page.fill("#message", "private words")
    other = desk.server.user()
    tab = desk.page.context.new_page()
    desk.page.context.clear_cookies(name="sessionid")
    sign_in(tab, desk.server, other)

    desk.page.press("#message", "Enter")

    notice = desk.page.locator("[data-notice=other_user]")
    expect(notice.get_by_role("link", name="Reload")).to_be_visible()
    expect(desk.page.locator("#message")).to_have_value("private words")
    with other.client() as client:
        assert client.get("/api/chat/sessions").json()["sessions"] == []


def test_a_provider_that_is_gone_leads_to_its_settings(desk: Desk):
    desk.script("never")
    desk.user.delete("/api/providers/custom/config")
    desk.send("Who answers?")

    link = desk.page.locator(".trouble").get_by_role("link")
    expect(link).to_have_attribute("href", "/settings/providers/custom")
    expect(desk.page.locator("#message")).to_have_value("Who answers?")


def test_only_what_is_finished_is_announced(desk: Desk):
    desk.page.evaluate(
        """() => {
            window.heard = [];
            const announcer = document.getElementById("announcer");
            new MutationObserver(() => announcer.textContent && heard.push(announcer.textContent))
                .observe(announcer, { childList: true, characterData: true, subtree: true });
        }"""
    )
    model: Script = desk.script("one ", Hold(), "two")
    desk.send("Quietly")
    expect(desk.live()).to_have_text("one")
    model.release()
    desk.answer()

    until(desk.page, "heard.length > 0")
    assert desk.page.evaluate("heard") == ["The answer is complete."]


def told_first(desk: Desk, at: str, *events: tuple[str, str]) -> None:
    """Let the page get these events when it next picks the answer up, and then the server's own again."""
    message = desk.stored()[-1]["id"]
    opening = f'"sessionId": "{desk.session_id}", "messageId": "{message}", "title": "So far"'
    told = "".join(
        f'id: {message}:{at}\nevent: {name}\ndata: {{"type": "{name}", {data}}}\n\n' for name, data in events
    ).replace("SESSION", opening)
    desk.page.route(
        f"**/api/chat/sessions/{desk.session_id}/stream",
        lambda route: route.fulfill(body=told, content_type="text/event-stream"),
        times=1,
    )


def test_what_a_crash_has_cost_is_taken_off_the_page(desk: Desk):
    model = desk.script("kept, lost", Hold(), " and found")
    desk.send("What was it?")
    expect(desk.live()).to_have_text("kept, lost")
    wait_until_kept(desk, "kept, lost")
    told_first(desk, "0-10", ("session", 'SESSION, "reset": true'), ("message", '"content": "kept, anew"'))

    desk.page.reload()

    expect(desk.live()).to_have_text("kept, anew")
    model.release()
    desk.answer()


def test_a_process_that_ends_while_another_one_writes_costs_a_moment(desk: Desk):
    model = desk.script("one ", Hold(), "two")
    desk.send("Who writes?")
    expect(desk.live()).to_have_text("one")
    wait_until_kept(desk, "one ")
    told_first(
        desk, "0-4", ("session", "SESSION"), ("error", '"code": "shutting_down", "error": "Restarting."')
    )
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))

    desk.page.reload()
    deadline = time.monotonic() + 20
    while sum(url.endswith("/stream") for url in asked) < 2:
        assert time.monotonic() < deadline, "the answer was not picked up again"
        desk.page.wait_for_timeout(50)

    # The page took it for a cut, not for the end of the answer, which it would have read then.
    assert not [url for url in asked if "/messages/" in url]
    expect(desk.live()).to_have_text("one")
    model.release()
    expect(desk.answer().locator(".prose")).to_have_text("one two")
