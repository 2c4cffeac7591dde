"""Formulas in the page: set where they can be read, and their source where not."""

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.page.desk import Desk

if TYPE_CHECKING:
    from playwright.sync_api import Page

SET = """async (sources) => {
    const { set } = await import("/static/chat/math.js");
    const short = (node) => node.nodeType === 3 ? node.data
        : `${node.localName}(${[...node.childNodes].map(short).join(" ")})`;
    return sources.map((source) => {
        const made = set(source, false);
        return made && short(made.firstChild).replace(/^mrow\\((.*)\\)$/, "$1");
    });
}"""

FORMULAS = {
    "x^2": "msup(mi(x) mn(2))",
    "a_{ij}^{n+1}": "msubsup(mi(a) mrow(mi(i) mi(j)) mrow(mi(n) mo(+) mn(1)))",
    r"\frac{1}{\sqrt{2\pi}}": "mfrac(mrow(mn(1)) mrow(msqrt(mrow(mn(2) mi(π)))))",
    r"\sum_{i=1}^n i": "munderover(mo(∑) mrow(mi(i) mo(=) mn(1)) mi(n)) mi(i)",
    r"\int_0^\infty e^{-x}\,dx": (
        "msubsup(mo(∫) mn(0) mi(∞)) msup(mi(e) mrow(mo(−) mi(x))) mspace() mi(d) mi(x)"
    ),
    r"\left(\frac ab\right)": "mrow(mo(() mfrac(mi(a) mi(b)) mo()))",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}": (
        "mrow(mo(() mrow(mtable(mtr(mtd(mi(a)) mtd(mi(b))) mtr(mtd(mi(c)) mtd(mi(d))))) mo()))"
    ),
    r"\text{if } x \le 3.14": "mtext(if\u00a0) mi(x) mo(≤) mn(3.14)",
    r"f'(x)": "msup(mi(f) mo(′)) mo(() mi(x) mo())",
    r"\mathbb{R}^n \vec{v}": "msup(mi(ℝ) mi(n)) mover(mrow(mi(v)) mo(→))",
    r"\unheardof x": "mtext(\\unheardof) mi(x)",
    r"x^10": "msup(mi(x) mn(1)) mn(0)",
}
UNREADABLE = [
    "{",
    "}",
    r"\frac{1}",
    r"\left(",
    r"\begin{x}",
    "x^",
    r"\right)",
    "{" * 500 + "}" * 500,
    "^" * 200,
]


@pytest.fixture
def chat(desk: Desk) -> "Page":
    return desk.page


def test_formulas_are_set(chat: "Page"):
    made: list[Any] = chat.evaluate(SET, list(FORMULAS))

    assert dict(zip(FORMULAS, made, strict=True)) == FORMULAS


def test_what_cannot_be_read_is_left_as_it_is(chat: "Page"):
    assert chat.evaluate(SET, UNREADABLE) == [None] * len(UNREADABLE)


def test_an_answer_shows_its_formulas_and_a_reload_does_too(desk: Desk):
    desk.script("So \\(x_1 * y_2\\):\n\n$$\n\\frac{a}{b}\n$$\n\nand $\\right$ is broken.")
    desk.send("Some mathematics")
    for _time in range(2):
        prose = desk.answer().locator(".prose")
        expect(prose.locator("span.math > math msub")).to_have_count(2)
        expect(prose.locator("div.math > math mfrac")).to_have_count(1)
        expect(prose.locator("span.math").last).to_have_text("\\right")
        expect(prose.locator("em")).to_have_count(0)
        desk.page.reload()


GROWING = """async (text) => {
    const { LiveProse } = await import("/static/chat/prose.js");
    const place = document.createElement("div");
    document.querySelector("#conversation").append(place);
    const live = new LiveProse(place);
    const seen = [];
    for (const character of text) {
        live.append(character);
        live.draw();
        seen.push(place.textContent);
        // The part that sets formulas comes meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    live.finish();
    return [seen, place.textContent];
}"""


def test_a_formula_that_is_half_written_never_shows_its_source(chat: "Page"):
    text = r"so \(\frac{1}{\sqrt{2\pi}}\) and $\frac{ab}{c}$ hold"

    seen, end = chat.evaluate(GROWING, text)

    assert not [words for words in seen if "\\" in words or "{" in words]
    assert end == "so 12π and abc hold"


def test_what_turns_out_to_be_no_formula_is_written_out_in_the_end(chat: "Page"):
    seen, end = chat.evaluate(GROWING, r"so \(\right\) it")

    assert "right" not in "".join(seen)
    assert end == r"so \right it"
