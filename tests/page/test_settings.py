import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from providers.catalogue import shipped
from tests.accounts.visitor import Visitor, form_fields
from tests.page.desk import Desk

KEY = "sk-never-shown-again-9876"


def test_a_key_is_stored_tried_and_never_shown(desk: Desk):
    page = desk.page
    desk.open("/settings")
    page.get_by_role("link", name="OpenAI-compatible server").click()
    page.fill("#apiKey", KEY)
    page.locator("#defaultModel:not([list])").wait_for()  # the page's script is there
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#test-result")).to_contain_text("It works")
    page.fill("#defaultModel", "a-model")
    page.get_by_role("button", name="Save").click()

    expect(page.locator(".notice")).to_contain_text("saved")
    expect(page.locator("#apiKey")).to_have_value("")
    expect(page.locator("#apiKey-help")).to_contain_text("••••9876")
    assert KEY not in page.content()
    desk.open("/settings")
    assert KEY not in page.content()
    assert desk.user.get("/api/providers/custom/config").json()["defaultModel"] == "a-model"


def test_what_is_wrong_is_said_beside_its_field_and_the_key_is_not_given_back(desk: Desk):
    page = desk.page
    desk.open("/settings/providers/openai")
    page.fill("#apiKey", KEY)
    page.fill("#baseUrl", "ftp://example.org")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#baseUrl-errors")).to_be_visible()
    expect(page.locator("#baseUrl")).to_have_value("ftp://example.org")
    assert KEY not in page.content()


def test_a_key_does_not_follow_to_another_address(desk: Desk):
    page = desk.page
    desk.open("/settings/providers/custom")
    page.fill("#baseUrl", "http://127.0.0.1:9/v1")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#apiKey-errors")).to_contain_text("Enter it again")
    assert desk.user.get("/api/providers/custom/config").json()["baseUrl"] == desk.upstream.base_url


def test_settings_are_deleted(desk: Desk):
    page = desk.page
    desk.open("/settings/providers/custom")
    page.get_by_text("Delete these settings").click()
    page.get_by_role("button", name="Delete").click()

    expect(page.locator(".notice")).to_contain_text("deleted")
    assert desk.user.get("/api/providers/custom/config").status_code == 404


def test_the_language_is_ones_own_choice(desk: Desk):
    desk.open("/settings")
    desk.page.select_option("#language", "zh-hans")
    desk.page.locator("form[action='/settings/language'] button").click()

    expect(desk.page.locator("h1")).to_have_text("设置")
    desk.page.select_option("#language", "")
    desk.page.locator("form[action='/settings/language'] button").click()
    expect(desk.page.locator("h1")).to_have_text("Settings")


def test_settings_are_saved_without_scripts(sqlite_server):
    user = sqlite_server.user()
    visitor = Visitor(sqlite_server)
    visitor.sign_in(user.username, user.password)

    saved = visitor.submit("/settings/providers/openai", {"apiKey": KEY, "enabled": "1"})
    kept = visitor.submit("/settings/providers/openai", {"defaultModel": "gpt-5.2"})

    assert (saved.status_code, kept.status_code) == (302, 302)
    config = user.get("/api/providers/openai/config").json()
    assert (config["keyHint"], config["defaultModel"], config["enabled"]) == ("••••9876", "gpt-5.2", False)
    visitor.submit("/settings/providers/openai", {"removeKey": "1"})
    assert user.get("/api/providers/openai/config").json()["keyHint"] == ""
    assert visitor.get("/settings/providers/nobody").status_code == 404
    assert visitor.get("/settings/providers/demo").status_code == 404


def test_the_test_works_without_scripts(sqlite_server, upstream):
    user = sqlite_server.user()
    visitor = Visitor(sqlite_server)
    visitor.sign_in(user.username, user.password)
    form = {"baseUrl": upstream.base_url, "apiKey": KEY, "enabled": "1"}

    def tried(**changes: str) -> str:
        token = form_fields(visitor.get("/settings/providers/custom").text)["csrfmiddlewaretoken"]
        data = {"csrfmiddlewaretoken": token} | form | changes
        return visitor.http.post("/settings/providers/custom/test", data=data, follow_redirects=True).text

    assert "they work: the provider answered in" in tried()
    assert user.get("/api/providers/custom/config").json()["keyHint"] == "••••9876"
    upstream.refuse_key("sk-a-key-that-is-refused")
    refused = tried(apiKey="sk-a-key-that-is-refused")
    assert "the test failed. The provider refused the API key." in refused
    assert '<details class="own-words"><summary>' in refused
    assert "sk-a-key" not in refused
    wrong = tried(baseUrl="ftp://example.org")
    assert 'id="baseUrl-errors"' in wrong
    assert user.get("/api/providers/custom/config").json()["baseUrl"] == upstream.base_url


def test_a_test_without_a_sign_in_or_its_token_is_refused(sqlite_server):
    path = "/settings/providers/custom/test"
    stranger = Visitor(sqlite_server)
    stranger.get("/accounts/login")

    assert stranger.api("POST", path).headers["Location"].startswith("/accounts/login")
    assert stranger.get(path).status_code == 405
    assert stranger.http.post(path, data={"baseUrl": "http://127.0.0.1:9/v1"}).status_code == 403
    assert stranger.api("POST", "/settings/providers/demo/test").status_code in {302, 404}


def test_the_default_model_is_chosen_from_the_providers_list(desk: Desk):
    page = desk.page
    wanted, other = desk.upstream.script("a"), desk.upstream.script("b")
    desk.open("/settings/providers/custom")
    page.locator("#defaultModel:not([list])").wait_for()  # the page's script is there
    page.fill("#defaultModel", other[-8:])
    page.locator("#known-list button", has_text=str(other)).wait_for()
    page.fill("#defaultModel", wanted[-8:].upper())

    expect(page.locator("#known-list button")).to_have_text([str(wanted)])
    page.press("#defaultModel", "ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#defaultModel")).to_have_value(str(wanted))
    expect(page.locator("#known-list")).to_be_hidden()
    page.fill("#defaultModel", "no such model")
    expect(page.locator("#defaultModel-help")).to_contain_text("No model fits")
    page.fill("#defaultModel", str(wanted))
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notice")).to_contain_text("saved")
    assert desk.user.get("/api/providers/custom/config").json()["defaultModel"] == wanted


def test_a_server_is_added_tested_before_it_is_saved_and_used(desk: Desk):
    page, model = desk.page, desk.upstream.script("Hi from the lab")
    desk.open("/settings")
    page.get_by_role("link", name="Add a server of your own").click()
    page.fill("#name", "实验室 Lab")
    page.fill("#baseUrl", f"{desk.upstream.base_url}/chat/completions")
    page.locator("details.extras summary").click()
    page.fill("#headers", "X-Team: blue-0123456789")
    page.locator("#defaultModel:not([list])").wait_for()  # the page's script is there
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#test-result")).to_contain_text("It works")
    expect(page.locator("#defaultModel-help")).to_contain_text("choose one")
    assert not any(
        one["id"].startswith("custom:") for one in desk.user.get("/api/providers").json()["providers"]
    )
    # What was found is offered, although nothing is saved yet.
    page.fill("#defaultModel", model[-8:])
    page.locator("#known-list button", has_text=str(model)).click()
    page.get_by_role("button", name="Save").click()

    expect(page.locator(".notice")).to_contain_text("saved")
    expect(page.locator("h1")).to_have_text("实验室 Lab")
    assert page.url.endswith("/settings/providers/custom:lab")
    assert "blue-0123456789" not in page.content()
    desk.open("/")
    expect(page.locator("#provider")).to_have_value("custom:lab")
    expect(page.locator("#model")).to_have_value(str(model))
    desk.send("Hello")
    expect(desk.answer()).to_contain_text("Hi from the lab")
    assert model.requests[0].headers["x-team"] == "blue-0123456789"
    expect(page.locator("#model-shown")).to_contain_text("实验室 Lab")


def test_a_server_is_renamed_and_removed(desk: Desk):
    page = desk.page
    desk.user.configure("custom:lab", name="Lab", baseUrl=desk.upstream.base_url)
    desk.open("/settings")
    page.locator("a.row", has_text="Lab").click()
    page.fill("#name", "مختبر")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("مختبر")

    desk.open("/settings")
    page.locator("a.row", has_text="مختبر").click()
    page.get_by_text("Delete these settings").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".notice")).to_contain_text("deleted")
    expect(page.locator("a.row", has_text="مختبر")).to_have_count(0)
    # Where an answer of it still leads, there are the other settings.
    desk.open("/settings/providers/custom:lab")
    assert page.url.endswith("/settings")


def test_a_server_is_added_tested_and_changed_without_scripts(sqlite_server, upstream):
    user, model = sqlite_server.user(), upstream.script("Hi")
    visitor = Visitor(sqlite_server)
    visitor.sign_in(user.username, user.password)
    new = "/settings/providers/custom:new"
    form = {"name": "Lab", "protocol": "openai", "baseUrl": upstream.base_url, "enabled": "1"}

    added = visitor.submit(new, form | {"headers": f"X-Team: {KEY}\nX-Org: 7"})
    second = visitor.submit(new, form | {"name": "lab!", "extraBody": '{"enable_thinking": false}'})
    refused = [
        visitor.submit(new, form),
        visitor.submit(new, form | {"name": "Two", "headers": f"X-Team {KEY}"}),
        visitor.submit(new, form | {"name": "Two", "extraBody": "{"}),
        visitor.submit(new, form | {"name": "Two", "baseUrl": ""}),
        visitor.submit(new, form | {"name": ""}),
    ]

    assert added.headers["Location"] == "/settings/providers/custom:lab"
    assert second.headers["Location"] == "/settings/providers/custom:lab-2"
    fields = ["name", "headers", "extraBody", "baseUrl", "name"]
    for answer, field in zip(refused, fields, strict=True):
        assert answer.status_code == 400
        assert f'id="{field}-errors"' in answer.text
        assert KEY not in answer.text
    assert 'value="Two"' in refused[1].text
    token = form_fields(visitor.get("/settings/providers/custom:lab").text)["csrfmiddlewaretoken"]
    data = form | {"csrfmiddlewaretoken": token, "removeHeader": "x-org"}
    tested = visitor.http.post("/settings/providers/custom:lab/test", data=data, follow_redirects=True).text
    assert "they work" in tested
    assert f'<option value="{model}">' in tested
    assert upstream.list_requests[-1].headers["x-team"] == KEY
    assert user.get("/api/providers/custom:lab/config").json()["headerNames"] == ["x-team"]
    assert user.get("/api/providers/custom:lab-2/config").json()["extraBody"] == {"enable_thinking": False}
    other = Visitor(sqlite_server)
    stranger = sqlite_server.user()
    other.sign_in(stranger.username, stranger.password)
    assert other.get("/settings/providers/custom:lab").headers["Location"] == "/settings"
    assert visitor.get("/settings/providers/custom:LAB").status_code == 404


def test_a_retired_default_model_is_marked_in_words(desk: Desk):
    page = desk.page
    known = shipped().entries["openai"].items()
    retired = {name: entry.retires for name, entry in known if entry.retires and "*" not in name}
    model = min(retired, key=lambda name: retired[name])
    desk.user.configure("openai", apiKey=KEY, defaultModel=model)

    desk.open("/settings/providers/openai")

    expect(page.locator("#defaultModel-retirement")).to_contain_text(f"{model} has been retired since")
    expect(page.locator("#defaultModel")).to_have_attribute(
        "aria-describedby", re.compile("^defaultModel-retirement ")
    )


def test_choosers_mark_models_that_retire(desk: Desk):
    page = desk.page
    soon = (datetime.now(UTC) + timedelta(days=20)).date()
    later = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
    models = [
        {"id": "gone", "retiresOn": "2026-01-31"},
        {"id": "going", "retiresOn": soon.isoformat()},
        {"id": "later", "retiresOn": later},
        {"id": "stays"},
    ]
    page.route("**/api/providers/custom/models", lambda route: route.fulfill(json={"models": models}))
    day = f"{soon.month}/{soon.day}/{soon.year}"
    shown = ["gone retired since 1/31/2026", f"going retires on {day}", "later", "stays"]

    desk.open("/")
    page.click("#model-picker summary")
    page.select_option("#provider", "custom")
    expect(page.locator("#model-picker .models button")).to_have_text(shown)

    desk.open("/settings/providers/custom")
    page.locator("#defaultModel:not([list])").focus()
    expect(page.locator("#known-list button")).to_have_text(shown)
    page.locator("#known-list button").first.click()
    expect(page.locator("#defaultModel")).to_have_value("gone")
