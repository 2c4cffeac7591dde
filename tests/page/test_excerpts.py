"""What a search shows of an answer: plain text, wherever the excerpt was cut."""

import re
import time

import pytest

from chat.excerpts import plain


def shown(markdown: str, sought: str = "", *, cut: bool = False) -> str:
    pattern = re.compile(re.escape(sought), re.IGNORECASE) if sought else None
    return plain(markdown, pattern, cut_before=cut, cut_after=cut)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Title\n\nSome **bold** and *soft* __text__", "Title Some bold and soft text"),
        ("> - [x] quoted **list**\n> - two", "[x] quoted list two"),
        ("| a | b |\n|---|:--:|\n| 1 | 2 |", "a b 1 2"),
        ("The sum $x^2 + y$ and\n$$\n\\frac{1}{2}\n$$", "The sum x^2 + y and \\frac{1}{2}"),
        ("It costs $5 and $6 today", "It costs $5 and $6 today"),
        ("See [the page](https://example.org/a_b) ![alt](x.png)", "See the page alt"),
        (
            "```python\ndef __init__(self):\n    return 2 ** 3\n```\nDone",
            "def __init__(self): return 2 ** 3 Done",
        ),
        ("Call `__init__` or ``a ` b``", "Call __init__ or a ` b"),
        ("2 * 3 * 4, snake_case_name, C#, 5 < 6 & <b>", "2 * 3 * 4, snake_case_name, C#, 5 < 6 & <b>"),
        ("**中文**标点，~~删除~~ 🎉", "中文标点，删除 🎉"),
        (r"not \*bold\* here", "not *bold* here"),
        ("", ""),
    ],
)
def test_marks_of_markdown_are_not_shown(markdown: str, text: str) -> None:
    assert shown(markdown) == text


@pytest.mark.parametrize(
    "cut", ["*bold** and more", "old** and **bo", "``\ncode", "# half ```py\nx = 1", "a $x^2$ b **"]
)
def test_a_cut_within_a_mark_leaves_none_of_it(cut: str) -> None:
    assert not re.search(r"\*\*|``|^[*#$]|\$$", shown(cut, cut=True))


@pytest.mark.parametrize(
    ("markdown", "sought"),
    [
        ("so **very bold** it is", "**very"),
        ("[x](https://found.example)", "found"),
        ("def `__init__`", "__INIT__"),
    ],
)
def test_what_was_looked_for_is_shown_as_it_was_written(markdown: str, sought: str) -> None:
    assert sought.casefold() in shown(markdown, sought).casefold()


def test_hostile_text_is_read_in_linear_time() -> None:
    for piece in ("*", "`", "$", "[", "|", "> ", "_a", "\\", "\ue0000\ue001", "[](", "$a"):
        began = time.process_time()
        assert len(shown(piece * 2000, "a")) <= len(piece) * 2000
        assert time.process_time() - began < 1, piece
