"""The list of conversations: found, renamed, pinned, archived, deleted and not, in all tabs."""

import re

import httpx
from playwright.sync_api import Locator, expect

from tests import waiting
from tests.browser import new_context, sign_in
from tests.page.desk import Desk
from tests.server import User
from tests.upstream import Hold


def talk(user: User, *messages: str, title: str = "") -> str:
    """Hold a conversation through the API; return its id."""
    session_id = None
    for message in messages:
        body = {"message": f"{message} /fast", "provider": "demo", "model": "demo"}
        answer = user.stream(**body | ({"sessionId": session_id} if session_id else {}))
        session_id = answer[0].data["sessionId"]
    if title:
        user.put(f"/api/chat/sessions/{session_id}/title", json={"title": title})
    assert session_id
    return str(session_id)


def entry(desk: Desk, session_id: str) -> Locator:
    return desk.page.locator(f"#session-list li:has([data-session='{session_id}'])")


def act(desk: Desk, session_id: str, what: str) -> None:
    """Choose something from the menu of a conversation in the list."""
    entry(desk, session_id).hover()
    entry(desk, session_id).locator("[data-menu]").click()
    desk.page.get_by_role("menuitem", name=what).click()


def wait_until_gone(user: User, session_id: str) -> None:
    waiting.until(lambda: user.get(f"/api/chat/sessions/{session_id}").status_code == 404, every=0.1)


# --- renaming, pinning, archiving ----------------------------------------------------------------------


def test_a_title_is_changed_where_it_stands(desk: Desk):
    page = desk.page
    desk.script("fine")
    desk.send("A title to change")
    desk.answer()
    page.get_by_role("button", name="Rename").click()
    field = page.get_by_label("Title", exact=True)
    expect(field).to_be_focused()
    field.fill("never mind")
    field.press("Escape")
    expect(page.locator("#title")).to_have_text("A title to change")
    expect(page.get_by_role("button", name="Rename")).to_be_focused()

    page.keyboard.press("Enter")
    field.fill("  Another <i>title</i> ")
    field.press("Enter")

    expect(page.locator("#title")).to_have_text("Another <i>title</i>")
    expect(page.locator("#session-list")).to_contain_text("Another <i>title</i>")
    expect(page).to_have_title(re.compile(r"Another <i>title</i> · Chat"))
    assert desk.user.get(f"/api/chat/sessions/{desk.session_id}").json()["title"] == "Another <i>title</i>"


def test_keys_alone_rename_pin_and_archive(desk: Desk):
    page = desk.page
    first = talk(desk.user, "one", title="First")
    second = talk(desk.user, "two", title="Second")
    desk.open("/")
    titles = page.locator("#session-list li:visible .session-title")
    expect(titles).to_have_text(["Second", "First"])

    page.keyboard.press("Control+k")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(entry(desk, first).locator("a")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#session-list h2")).to_have_text(["Pinned", "Today"])
    expect(titles).to_have_text(["First", "Second"])
    page.reload()
    expect(titles).to_have_text(["First", "Second"])

    entry(desk, second).locator("[data-menu]").press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.type("Second, renamed")
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["First", "Second, renamed"])

    entry(desk, second).locator("[data-menu]").press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(titles).to_have_text(["First"])
    page.get_by_role("button", name="Undo").press("Enter")
    expect(titles).to_have_text(["First", "Second, renamed"])


def test_what_is_archived_lies_apart_and_comes_back(desk: Desk):
    page = desk.page
    session = talk(desk.user, "for later", title="For later")
    desk.open("/")
    act(desk, session, "Archive")
    expect(entry(desk, session)).to_have_count(0)
    assert desk.user.get(f"/api/chat/sessions/{session}").json()["archived"] is True
    desk.open("/history")
    expect(page.locator("#history [data-session]")).to_have_count(0)

    desk.open("/history?q=later")
    expect(page.locator("#history .hit-title")).to_have_text(re.compile("For later.*Archived"))

    page.click("text=Archived conversations")
    page.locator("#history [data-menu]").click()
    page.get_by_role("menuitem", name="Bring back").click()

    expect(page.locator("#history li:visible")).to_have_count(0)
    expect(entry(desk, session)).to_be_visible()


# --- deleting ------------------------------------------------------------------------------------------


def test_a_deleted_conversation_can_be_had_back(desk: Desk):
    page = desk.page
    session = talk(desk.user, "precious", title="Precious")
    desk.open("/")
    other = page.context.new_page()
    other.goto(page.url)
    act(desk, session, "Delete")
    expect(entry(desk, session)).to_be_hidden()
    expect(other.locator(f"#session-list [data-session='{session}']")).to_be_hidden()
    # Going on to another page takes the chance along.
    page.locator("a[href='/settings']").first.click()
    expect(entry(desk, session)).to_be_hidden()

    page.get_by_role("button", name="Undo").click()

    expect(entry(desk, session)).to_be_visible()
    expect(other.locator(f"#session-list [data-session='{session}']")).to_be_visible()
    assert desk.user.get(f"/api/chat/sessions/{session}").status_code == 200


def test_deleting_what_is_open_leads_away_and_undoing_it_back(desk: Desk):
    page = desk.page
    session = talk(desk.user, "open", title="Open")
    desk.open(f"/c/{session}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page).to_have_url(f"{desk.server.base_url}/")

    page.get_by_role("button", name="Undo").click()

    expect(page).to_have_url(f"{desk.server.base_url}/c/{session}")
    expect(page.locator("#title")).to_have_text("Open")


def test_nobody_undoes_and_it_is_gone(desk: Desk):
    page = desk.page
    session = talk(desk.user, "over", title="Over")
    desk.open("/")
    act(desk, session, "Delete")
    page.locator(".toast").get_by_role("button", name="Close").click()

    wait_until_gone(desk.user, session)
    page.reload()
    expect(entry(desk, session)).to_have_count(0)
    expect(page.locator(".toast")).to_have_count(0)


def test_closing_the_tab_deletes_what_was_to_be_deleted(desk: Desk):
    session = talk(desk.user, "over", title="Over")
    desk.open("/")
    act(desk, session, "Delete")
    expect(entry(desk, session)).to_be_hidden()

    desk.page.close(run_before_unload=True)

    wait_until_gone(desk.user, session)


def test_a_deletion_that_fails_brings_the_conversation_back(desk: Desk):
    page = desk.page
    session = talk(desk.user, "stubborn", title="Stubborn")
    desk.open("/")
    refusal = {"error": "The database is away.", "code": "unavailable"}
    page.route(f"**/api/chat/sessions/{session}?*", lambda route: route.fulfill(status=503, json=refusal))
    act(desk, session, "Delete")
    page.locator(".toast").get_by_role("button", name="Close").click()

    expect(page.locator(".toast")).to_contain_text("The database is away.")
    expect(entry(desk, session)).to_be_visible()


# --- searching -----------------------------------------------------------------------------------------


def test_a_hit_opens_at_its_message_also_on_another_branch(desk: Desk):
    page = desk.page
    session = talk(desk.user, "Tell me about the axolotl", title="Animals")
    question = desk.user.messages(session)[0]["id"]
    with desk.user.client() as client:
        edited = client.post(f"/api/chat/messages/{question}/edit", json={"message": "Tell me nothing /fast"})
        assert edited.status_code == 200
    desk.open("/")
    page.locator(".sidebar input[name=q]").press_sequentially("AXOLOTL")
    hit = page.locator("#session-list .excerpt").last
    expect(hit.locator("mark")).to_have_text("axolotl")

    hit.click()

    expect(page.locator(f"#m-{question}")).to_be_in_viewport()
    expect(page.locator(f"#m-{question} .bubble")).to_have_text("Tell me about the axolotl /fast")
    expect(page.locator(f"#m-{question} .count")).to_have_text("1 / 2")
    assert page.evaluate("[...CSS.highlights.get('sought')].map(String)") == ["axolotl"]
    desk.script("about it, then")
    desk.send("Go on")
    desk.answer()
    assert desk.stored()[0]["id"] == question, "it goes on from what was shown"


def test_the_title_of_a_hit_opens_where_its_first_excerpt_does(desk: Desk):
    session = talk(desk.user, "the needle in front", "hay", title="Needle and thread")
    desk.open("/history?q=needle+in+front")
    title = desk.page.locator("#history .hit-title")
    assert title.get_attribute("href") == desk.page.locator("#history .excerpt").first.get_attribute("href")
    title.click()
    newest = desk.user.messages(session)[1]["id"]  # the answer repeats the words
    expect(desk.page.locator(f"#m-{newest}")).to_be_in_viewport()
    assert desk.page.url.endswith(f"/c/{session}?at={newest}&q=needle%20in%20front#m-{newest}")

    desk.open("/history?q=thread")
    desk.page.locator("#history .hit-title").click()

    assert desk.page.url.endswith(f"/c/{session}")


def test_a_hit_far_up_opens_there(desk: Desk):
    page = desk.page
    session = talk(desk.user, "the needle in front", *(f"hay number {number}" for number in range(70)))
    desk.open("/history?q=needle+in+front")
    expect(page.locator("#history mark").first).to_have_text("needle in front")
    page.locator("#history .excerpt").last.click()

    first = page.locator(".message").first
    expect(first).to_contain_text("the needle in front")
    expect(first).to_be_in_viewport()
    expect(page.locator("#composer")).to_have_count(0)
    page.click("text=Later messages")
    expect(page.locator(".message").last).to_contain_text("hay number 69")
    expect(page.locator("#composer")).to_be_visible()
    assert session in page.url


def test_the_search_ends_with_escape_and_says_when_there_is_nothing(desk: Desk):
    page = desk.page
    session = talk(desk.user, "something", title="A <b>title</b> & more")
    desk.open("/")
    search = page.locator(".sidebar input[name=q]")
    search.press_sequentially("no such thing")
    expect(page.locator("#session-list")).to_have_text("Nothing was found.")
    search.fill("<B>title")
    expect(page.locator("#session-list .hit-title mark")).to_have_text("<b>title")

    search.press("Escape")

    expect(search).to_have_value("")
    expect(entry(desk, session)).to_be_visible()
    expect(page.locator("#session-list h2")).to_have_text("Today")


# --- a long list, and other tabs -----------------------------------------------------------------------


def test_the_list_goes_on_as_one_scrolls(desk: Desk):
    page = desk.page
    with desk.user.client() as client:
        for number in range(120):
            body = {"title": f"talk {number}", "provider": "demo", "model": "demo"}
            client.post("/api/chat/sessions", json=body)
    desk.open("/")
    rows = page.locator("#session-list li")
    expect(rows).to_have_count(50)
    for count in (100, 120):
        page.eval_on_selector("#session-list", "(list) => list.scrollTo(0, list.scrollHeight)")
        expect(rows).to_have_count(count)
    expect(page.locator("#session-list h2")).to_have_text("Today")
    expect(page.locator("#session-list .more")).to_have_count(0)

    # What others do meanwhile does not take away what was read on to.
    talk(desk.user, "the newest of all")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(rows).to_have_count(121)
    assert len(set(page.eval_on_selector_all("#session-list li a", "(all) => all.map((a) => a.href)"))) == 121


def test_other_tabs_hear_of_everything(desk: Desk):
    page = desk.page
    other = page.context.new_page()
    other.goto(page.url)
    model = desk.script("one ", Hold(), "two")
    desk.send("Seen in both")
    row = other.locator("#session-list li")
    expect(row).to_have_text(re.compile("Seen in both"))
    expect(row.locator("[data-answering] .dot")).to_be_visible()
    row.locator("a").click()
    expect(other.locator("[data-live]")).to_have_text("one")
    model.release()
    expect(row.locator("[data-answering]")).to_have_count(0)
    desk.answer()

    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title", exact=True).fill("Renamed once")
    page.keyboard.press("Enter")

    expect(other.locator("#title")).to_have_text("Renamed once")
    expect(row.locator(".session-title")).to_have_text("Renamed once")


def test_what_another_device_does_shows_when_one_comes_back(desk: Desk, browser):
    page = desk.page
    session = talk(desk.user, "begun here", title="Begun here")
    desk.open(f"/c/{session}")
    expect(page.locator(".message")).to_have_count(2)
    phone = new_context(browser).new_page()
    sign_in(phone, desk.server, desk.user)
    there = Desk(phone, desk.server, desk.user, desk.upstream)
    there.open(f"/c/{session}")
    model = there.script("one ", Hold(), "two")
    there.send("Gone on there")
    expect(there.live()).to_have_text("one")

    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator("#session-list [data-answering]")).to_have_count(1)
    expect(page.locator(".bubble").last).to_have_text("Gone on there")
    expect(desk.live()).to_have_text("one")
    model.release()
    expect(desk.answer().locator(".prose")).to_have_text("one two")
    phone.context.close()


def test_nobody_lists_or_finds_what_is_somebody_elses(desk: Desk):
    stranger = desk.server.user()
    talk(stranger, "a secret of a stranger")
    cookies = {cookie["name"]: cookie["value"] for cookie in desk.page.context.cookies()}

    with httpx.Client(base_url=desk.server.base_url, cookies=cookies, trust_env=False) as client:
        for path in ("/list", "/list?q=secret"):
            assert "secret of a stranger" not in client.get(path).text
        assert client.get("/list").status_code == 200
