"""What the page shows while an answer is written is what the server shows when it has ended."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from chat.markdown import to_html
from tests.browser import sign_in
from tests.page.corpus import ANSWER, TEXTS, nonsense

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Parsing the server's HTML within the test needs what the page's own policy forbids.
pytestmark = pytest.mark.parametrize("page", [{"bypass_csp": True}], indirect=True)

COMPARE = """async ([pairs, how]) => {
    const { render } = await import("/static/chat/markdown.js");
    const { LiveProse } = await import("/static/chat/prose.js");
    const { shape } = await import("/static/chat/patch.js");
    const different = [];
    for (const [text, html] of pairs) {
        const place = document.createElement("div");
        if (how === "whole") {
            place.append(render(text));
        } else {
            const live = new LiveProse(place);
            const size = how === "by one" ? 1 : 7;
            for (let at = 0; at < text.length; at += size) {
                live.append(text.slice(at, at + size));
                live.draw({ settle: (at / size) % 5 === 4 });
            }
            live.finish();
        }
        const stored = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html").body.firstChild;
        if (shape(place) !== shape(stored)) different.push([text, shape(place), shape(stored)]);
    }
    return different;
}"""


@pytest.fixture
def chat(page: "Page", sqlite_server, alice) -> "Page":
    sign_in(page, sqlite_server, alice)
    return page


def compare(chat: "Page", texts: list[str], how: str) -> None:
    different = chat.evaluate(COMPARE, [[(text, to_html(text)) for text in texts], how])
    told = (f"{text!r}\npage:   {page}\nserver: {server}" for text, page, server in different[:5])
    assert not different, f"{len(different)} differ:\n" + "\n".join(told)


@pytest.mark.parametrize("how", ["whole", "by one", "by seven"])
def test_the_page_shows_what_the_server_shows(chat: "Page", how: str):
    compare(chat, TEXTS, how)


@pytest.mark.parametrize("how", ["whole", "by seven"])
def test_nonsense_is_shown_alike(chat: "Page", how: str):
    compare(chat, nonsense(600), how)


def test_every_split_of_an_answer_ends_alike(chat: "Page"):
    different = chat.evaluate(
        """async ([text, html]) => {
            const { LiveProse } = await import("/static/chat/prose.js");
            const { shape } = await import("/static/chat/patch.js");
            const stored = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html");
            const wanted = shape(stored.body.firstChild);
            const wrong = [];
            for (let at = 1; at < text.length; at += 1) {
                const place = document.createElement("div");
                const live = new LiveProse(place);
                live.append(text.slice(0, at));
                live.draw();
                live.append(text.slice(at));
                live.draw();
                live.finish();
                if (shape(place) !== wanted) wrong.push(at);
            }
            return wrong;
        }""",
        [ANSWER, to_html(ANSWER)],
    )

    assert different == []


def steps(chat: "Page", text: str) -> list[Any]:
    """Return what is shown after each character: the text, and the names of the elements."""
    return list(
        chat.evaluate(
            """async (text) => {
                const { LiveProse } = await import("/static/chat/prose.js");
                const place = document.createElement("div");
                const live = new LiveProse(place);
                const seen = [];
                for (const character of text) {
                    live.append(character);
                    live.draw();
                    const copy = place.cloneNode(true);
                    copy.querySelectorAll("button").forEach((button) => button.remove());
                    const names = [...copy.querySelectorAll("*")].map((one) => one.localName);
                    seen.push([copy.textContent, names]);
                }
                return seen;
            }""",
            text,
        )
    )


GROWING = [
    "so **bold words** go on",
    "a *slanted* word",
    "and ***both*** of them",
    "some `code` here",
    "``two ` ticks`` here",
    "~~gone~~ then",
    "see [the page](https://e.org/path) for it",
    "see ![a picture](https://e.org/p.png) of it",
    "text\n\n- one\n- **two** x\n",
    "text\n\n1. one\n2. two\n",
    "text\n\n---\n\nmore",
    "# Title\n\ntext",
    "> quoted\n> text\n",
    "```python\nprint(1)\n```\n\nafter",
    "text\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "**注意：**这里",
    "see \\(x_1 + y\\) there",
    "see $x_1$ there",
    "text\n\n$$\nx^2 + y\n$$\n\nmore",
    "so $\\\\frac{a}{b}$ it",
    "text\n\n| a | b | c |\n|---|---|---|\n| **bold** x | `code` y | [page](https://e.org) |\n",
    "see [a page](https://e.org/a_(b)) for it",
    "as [1] says, [2](https://e.org/2) and [x] too",
    "text\n\n- [ ] to do\n- [x] done\n",
]


def test_marks_that_are_half_written_never_show(chat: "Page"):
    for text in GROWING:
        shown = steps(chat, text)

        final = shown[-1][0].replace("\n", "")
        for at, (words, _names) in enumerate(shown):
            # What has been shown is never taken back.
            assert final.startswith(words.replace("\n", "").rstrip()), (text[: at + 1], words)
        for (_words, before), (_later_words, after) in pairwise(shown):
            assert all(name in after for name in before), (text, before, after)


def test_the_line_below_a_tables_first_row_never_shows(chat: "Page"):
    shown = [words for words, _names in steps(chat, "text\n\na | b\n--- | :--:\n1 | 2\n\nmore")]

    assert not any("-" in words or ":" in words for words in shown)
    assert shown[-1].replace("\n", "") == "textab12more"


def test_half_a_row_closes_what_is_open_in_its_last_cell_alone(chat: "Page"):
    head = "| a | b | c |\n|---|---|---|\n"

    assert "strong" in steps(chat, head + "| **bo")[-1][1]
    assert "strong" in steps(chat, head + "| 1 | **bo")[-1][1]
    assert steps(chat, head + "| **bo |")[-1][0].replace("\n", "") == "abc**bo"


def test_a_long_answer_is_parsed_a_block_at_a_time(chat: "Page"):
    text = "".join(f"{ANSWER}\nSection {number}\n\n" for number in range(100))[:100_000]
    work = chat.evaluate(
        """async (text) => {
            const { LiveProse } = await import("/static/chat/prose.js");
            const place = document.createElement("div");
            document.querySelector("#conversation").append(place);
            const live = new LiveProse(place);
            const first = [];
            for (let at = 0; at < text.length; at += 60) {
                live.append(text.slice(at, at + 60));
                live.draw();
                if (first.length < 1 && place.children.length > 3) first.push(place.firstElementChild);
            }
            return { ...live.work, kept: first[0] === place.firstElementChild };
        }""",
        text,
    )

    assert work["most"] < 1_500
    assert work["parsed"] < 8 * len(text)
    assert work["kept"]


def test_long_code_is_added_to_and_not_parsed_again(chat: "Page"):
    text = "```python\n" + "value = compute(1, 'two')  # three\n" * 3000
    work = chat.evaluate(
        """async (text) => {
            const { LiveProse } = await import("/static/chat/prose.js");
            const place = document.createElement("div");
            const live = new LiveProse(place);
            for (let at = 0; at < text.length; at += 60) {
                live.append(text.slice(at, at + 60));
                live.draw();
            }
            return { ...live.work, shown: place.querySelector("code").textContent };
        }""",
        text,
    )

    assert work["shown"] == text.partition("\n")[2]
    assert work["parsed"] < 3 * len(text)


def test_what_the_reader_has_selected_stays_selected(chat: "Page"):
    selected = chat.evaluate(
        """async () => {
            const { LiveProse } = await import("/static/chat/prose.js");
            const place = document.createElement("div");
            document.querySelector("#conversation").append(place);
            const live = new LiveProse(place);
            live.append("The **first** words");
            live.draw();
            getSelection().selectAllChildren(place.querySelector("strong"));
            live.append(" and *more* of them");
            live.draw();
            return getSelection().toString();
        }"""
    )

    assert selected == "first"
