"""What the page is made of: little, kept for ever, and each part with its licence."""

import gzip
import re
from pathlib import Path

from tests.page.desk import Desk

STATIC = Path(__file__).resolve().parents[2] / "chat" / "static" / "chat"
VENDOR = STATIC / "vendor"
MOST_BYTES = 150_000
# A page without code and formulas.
MOST_AT_FIRST = 100_000


def test_all_of_it_is_less_than_150_kilobytes():
    sizes = {
        str(path.relative_to(STATIC)): len(gzip.compress(path.read_bytes(), 9))
        for path in STATIC.rglob("*")
        if path.is_file() and path.name != "LICENSE"
    }

    assert len(sizes) > 30
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda one: -one[1])[:10]


def test_what_others_made_has_its_licence_and_asks_for_nothing():
    for folder in VENDOR.iterdir():
        assert len((folder / "LICENSE").read_text()) > 1000
    for path in VENDOR.rglob("*.js"):
        assert "sourceMappingURL" not in path.read_text(), path


def test_every_grammar_is_one_that_the_page_can_ask_for():
    offered = set(re.findall(r"languages/([a-z]+)\.min\.js", (STATIC / "code.js").read_text()))

    assert offered == {path.name.partition(".")[0] for path in (VENDOR / "highlight" / "languages").iterdir()}


def test_a_page_loads_little_and_everything_of_it_is_kept_for_ever(desk: Desk):
    loaded: dict[str, int] = {}

    def note(response: object) -> None:
        if "/static/" in response.url:  # type: ignore[attr-defined]
            loaded[response.url] = len(gzip.compress(response.body(), 9))  # type: ignore[attr-defined]
            assert "immutable" in response.headers["cache-control"]  # type: ignore[attr-defined]

    desk.page.on("response", note)
    desk.page.goto(f"{desk.server.base_url}/?fresh")
    desk.page.locator("#send").wait_for()
    desk.page.wait_for_load_state("networkidle")

    assert sum(loaded.values()) < MOST_AT_FIRST
    assert not [url for url in loaded if "highlight/" in url or "purify" in url or "math" in url]


def test_colours_come_with_the_first_code(desk: Desk):
    desk.script("```python\nprint(1)\n```\n\n```unheardof\nx\n```\n\n```c\nint a = 1;\n```")
    desk.send("Some code")
    for _time in range(2):
        blocks = desk.answer().locator("figure.code")
        blocks.nth(0).locator(".hl-built_in").wait_for()
        blocks.nth(2).locator(".hl-type").wait_for()
        assert blocks.locator("figcaption").all_inner_texts() == [
            "python\nCopy",
            "unheardof\nCopy",
            "c\nCopy",
        ]
        assert blocks.locator("code").all_text_contents() == ["print(1)\n", "x\n", "int a = 1;\n"]
        desk.page.reload()
