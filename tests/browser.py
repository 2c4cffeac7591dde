"""A real Chromium for the tests of the page."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.server import Server, User
from tests.services import Unavailable

# The first is the same browser without the windows, menus and buttons that nobody sees here.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@contextmanager
def launched() -> Iterator[Browser]:
    """Run the Chromium that is installed on this machine."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise Unavailable("no Chromium is on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Faults(list[str]):
    """What went wrong in a page: uncaught exceptions, and whatever the security policy refused."""

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.append(f"uncaught: {error}"))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.append(f"refused: {message.text}")


def sign_in(page: Page, server: Server, user: User) -> None:
    """Sign `user` in with the profile of `page`, and land on the chat page.

    The form is sent without showing it, which saves two page loads; test_way_in.py fills it in as people do.
    """
    address = f"{server.base_url}/accounts/login"
    token = _TOKEN.search(page.request.get(address).text())
    assert token, f"no form at {address}"
    form = {"csrfmiddlewaretoken": token[1], "username": user.username, "password": user.password}
    response = page.request.post(address, form=form, headers={"Referer": address}, max_redirects=0)
    assert response.status == 302, response.text()
    page.goto(f"{server.base_url}/")


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """Open a fresh profile: an English-speaking person on a desktop, unless told otherwise."""
    settings = {"locale": "en-US", "viewport": {"width": 1440, "height": 900}} | options
    context = browser.new_context(**settings)
    context.set_default_timeout(10_000)
    return context
