"""What a person does with the page, in their words."""

import re
from typing import TYPE_CHECKING

from tests.server import Server, User
from tests.upstream import Script, Step, Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class Desk:
    def __init__(self, page: "Page", server: Server, user: User, upstream: Upstream) -> None:
        self.page = page
        self.server = server
        self.user = user
        self.upstream = upstream

    def open(self, path: str = "/") -> None:
        self.page.goto(f"{self.server.base_url}{path}")

    def choose(self, provider: str, model: str) -> None:
        if self.page.locator("#model-picker[open]").count() == 0:
            self.page.click("#model-picker summary")
        self.page.select_option("#provider", provider)
        self.page.fill("#model", model)
        self.page.press("#model", "Enter")

    def script(self, *steps: Step, **options: object) -> Script:
        """Choose a model that answers like this."""
        model = self.upstream.script(*steps, **options)  # type: ignore[arg-type]  # handed through
        self.choose("custom", model)
        return model

    def send(self, message: str) -> None:
        self.page.fill("#message", message)
        self.page.locator("#send:enabled").wait_for()  # the page's script is there
        if self.page.evaluate("matchMedia('(pointer: coarse)').matches"):
            self.page.click("#send")  # on a phone, Enter is a new line
        else:
            self.page.press("#message", "Enter")

    def answer(self, status: str = "complete") -> "Locator":
        """Wait until the last answer has this status, as the server has stored it."""
        found = self.page.locator(f".message:last-of-type.answer[data-status={status}]")
        found.wait_for()
        return found

    def live(self) -> "Locator":
        return self.page.locator("[data-live]")

    @property
    def session_id(self) -> str:
        return re.split("[?#]", self.page.url.partition("/c/")[2])[0]

    def stored(self) -> list[dict[str, object]]:
        return self.user.messages(self.session_id)


def at_rest(page: "Page") -> float:
    """Wait until the page has not scrolled for some frames, and return where it is."""
    place: float = page.evaluate("""new Promise((done) => {
        let last = scrollY, still = 0;
        const look = () => {
            still = scrollY === last ? still + 1 : 0;
            last = scrollY;
            if (still < 12) requestAnimationFrame(look); else done(last);
        };
        requestAnimationFrame(look);
    })""")
    return place


def until(page: "Page", expression: str) -> None:
    """Wait until it is true. Playwright's own way would evaluate in the page, which its policy forbids."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")
