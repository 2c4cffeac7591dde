"""No text that a model may say makes the page stand still."""

import time
from typing import TYPE_CHECKING, Any

import pytest

from chat.markdown import to_html
from tests.browser import sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The work is done in a worker, which can be ended when it hangs; the page's own policy knows of none.
freely = pytest.mark.parametrize("page", [{"bypass_csp": True}], indirect=True)

# Each of them once took minutes or more.
MOST_SECONDS = 15

WITHIN = """([work, given, seconds]) => new Promise((resolve) => {
    const source = `
        globalThis.IntersectionObserver = class { observe() {} unobserve() {} };
        globalThis.document = { documentElement: {}, getElementById: () => null };
        const from = (name) => import("${location.origin}/static/chat/" + name);
        const work = ${work};
        onmessage = async ({ data }) => {
            try { await work(data, from); postMessage("done"); } catch (error) { postMessage(String(error)); }
        };`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const end = (said) => { worker.terminate(); resolve(said); };
    worker.onmessage = ({ data }) => end(data);
    worker.onerror = (event) => end(event.message);
    setTimeout(end, seconds * 1000, "still at it");
    worker.postMessage(given);
})"""

SHOW = """async (text, from) => {
    const { settled } = await from("mend.js");
    const { parse } = await from("markdown.js");
    parse(settled(text), { growing: true, references: Object.create(null) });
    parse(text);
}"""


def much(piece: str, chars: int = 100_000) -> str:
    return piece * (chars // len(piece))


TEXTS = {
    "quotes": much("> ") + "x",
    "quotes without blanks": much(">") + "x",
    "bullets": much("-  ") + "x",
    "numbers": much("1.  ") + "x",
    "commands": "\\(" + much("\\text") + "1",
    "long commands": "$$" + much("\\left") + "1",
    "half commands": "\\(" + much("\\text{a") + "1",
    "openings": much("\\("),
    "dollars": much("$$a"),
    "blanks in a link": "[a](" + much(" ") + '""x',
    "bars below bars": much("|") + "\n" + much("> ") + "x",
    "ticks": "`a" + much("`") + "x",
    "a fence of ticks": much("`") + "x`\u2028",
    "a fence of tildes": much("~") + "\u2028",
    "formulas of lines": much("\\[\n"),
    "formulas that end badly": much("\\[\n" * 99 + "\\] x\n"),
}


@pytest.fixture
def chat(page: "Page", sqlite_server: Any, alice: Any) -> "Page":
    sign_in(page, sqlite_server, alice)
    return page


@freely
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_growing_text_takes_long(chat: "Page", text: str):
    assert chat.evaluate(WITHIN, [SHOW, text, MOST_SECONDS]) == "done"


@pytest.mark.parametrize(
    "text",
    [
        much("\\[\n"),
        much("\\[\n" * 99 + "\\] x\n"),
        much("> \\[\n"),
        "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|\n" * 3000,
    ],
    ids=["lines", "bad ends", "quoted lines", "wide rows"],
)
def test_no_stored_text_takes_long(text: str):
    begun = time.process_time()
    to_html(text)

    # Several times what it takes.
    assert time.process_time() - begun < MOST_SECONDS / 2


def test_only_code_that_is_quick_to_colour_is_coloured(chat: "Page"):
    coloured = chat.evaluate(
        """async (sources) => {
            const { figure, paint } = await import("/static/chat/code.js");
            const blocks = sources.map((source) => figure(source, "bash"));
            document.body.append(...blocks);
            for (const block of blocks) paint(block);
            while (!blocks[0].querySelector("span")) await new Promise(requestAnimationFrame);
            return blocks.map((block) => Boolean(block.querySelector("code span")));
        }""",
        ['echo "a" 1\n' * 500, 'echo "a" 1;' * 500, 'echo "a" ' + "a" * 500],
    )

    assert coloured == [True, False, False]


@pytest.mark.parametrize("name", ["constructor", "toString", "hasOwnProperty"])
def test_names_of_the_language_itself_mean_nothing(chat: "Page", name: str):
    said = chat.evaluate(
        r"""async (name) => {
            const { set } = await import("/static/chat/math.js");
            const { figure, paint } = await import("/static/chat/code.js");
            paint(figure("x", name));
            const sources = [`\\${name}{a}`, `\\begin{${name}}a\\end{${name}}`, `\\mathbb{${name}}`];
            return sources.map((source) => set(source, false)?.textContent ?? null);
        }""",
        name,
    )

    assert said[0] is not None
    assert said[1] == "a"


def test_letters_that_grow_in_lower_case_do_not_stop_the_page(chat: "Page"):
    found = chat.evaluate(
        """async () => {
            const { highlight } = await import("/static/chat/highlights.js");
            const place = document.createElement("p");
            place.textContent = "\u0130".repeat(20) + " here is a NEEDLE (1)";
            document.body.append(place);
            highlight(place, "needle (1)");
            return [...CSS.highlights.get("sought")].map(String);
        }"""
    )

    assert found == ["NEEDLE (1)"]
