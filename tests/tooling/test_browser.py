import pytest

from tests.browser import Faults


def test_a_real_chromium_shows_a_page_of_a_real_server(page, sqlite_server):
    page.goto(f"{sqlite_server.base_url}/accounts/login")

    assert page.locator("input[name=password]").is_visible()
    assert "Chrome/" in page.evaluate("navigator.userAgent")


@pytest.mark.browser
def test_faults_in_a_page_are_noticed(browser):
    context = browser.new_context()
    page = context.new_page()
    faults = Faults()
    faults.watch(page)

    refused = page.expect_console_message(lambda message: "Content Security Policy" in message.text)
    with page.expect_event("pageerror"), refused:
        page.set_content(
            '<meta http-equiv="Content-Security-Policy" content="img-src \'none\'">'
            '<img src="data:image/gif;base64,AAAA">'
            '<script>setTimeout(() => { throw new Error("oops") })</script>'
        )
    context.close()

    assert any("oops" in fault for fault in faults)
    assert any("Content Security Policy" in fault for fault in faults)
