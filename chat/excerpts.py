"""Excerpts of markdown as plain text: what a search shows of an answer."""

import re

# Stands for a part that stays as it is: code, and what was looked for.
_OPEN, _CLOSE = "\ue000", "\ue001"
_KEPT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")

_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`]*\n?(.*?)(?:^[ \t]*(?:`{3,}|~{3,})[ \t]*$|\Z)", re.M | re.S)
_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\(([^()\s]*)\)")
_RULES = (
    # Lines that are marks alone: rules, and what stands below the head of a table.
    (re.compile(r"^[ \t]*(?:[-*_=|:][ \t]*){3,}$", re.M), ""),
    # Marks at the start of a line, with those of quotes and lists within each other.
    (re.compile(r"^(?:[ \t]*(?:>|[-*+][ \t]|#{1,6}[ \t]))+[ \t]*", re.M), ""),
    (re.compile(r"[ \t]+#+[ \t]*$", re.M), ""),
    (re.compile(r"^[ \t]*\|[ \t]*|[ \t]*\|[ \t]*$", re.M), ""),
    (re.compile(r"[ \t]\|[ \t]"), " "),
    (re.compile(r"\$\$|\\[\[\]()]"), ""),
    (re.compile(r"(?<![\w$\\])\$(?=\S)((?:\\.|[^$\\\n])+?)(?<=\S)\$(?![\w$])"), r"\1"),
    (re.compile(r"`+|~~|(?<=\S)\*{2,}|\*{2,}(?=\S)|(?<!\w)_{2,}(?=\S)|(?<=\S)_{2,}(?!\w)"), ""),
    (re.compile(r"(?<![\w*\\])\*(?=\S)([^*\n]+?)(?<=[^\s\\])\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
)
_ENDS = "*_`#$~|\\ \t\n"


def plain(markdown: str, sought: re.Pattern[str] | None, *, cut_before: bool, cut_after: bool) -> str:
    """Return a piece of markdown on one line, without its marks.

    What was looked for stays as it was written, marks included. The piece may be cut anywhere, also within a
    mark: `cut_before` and `cut_after` say at which ends.
    """
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.append(text)
        return f"{_OPEN}{len(kept) - 1}{_CLOSE}"

    def link(found: re.Match[str]) -> str:
        text, address = found.groups()
        return f"{text} ({address})" if _OPEN in address else text

    text = markdown.replace(_OPEN, "").replace(_CLOSE, "")
    if sought:
        text = sought.sub(lambda found: keep(found[0]), text)
    text = _FENCE.sub(lambda found: keep(found[1]), text)
    text = _CODE.sub(lambda found: keep(found[2]), text)
    text = _LINK.sub(link, text)
    for rule, instead in _RULES:
        text = rule.sub(instead, text)
    text = text.lstrip(_ENDS) if cut_before else text
    text = text.rstrip(_ENDS) if cut_after else text
    # Code may hold what was looked for.
    while _KEPT.search(text):
        text = _KEPT.sub(lambda found: kept[int(found[1])], text)
    return " ".join(text.split())
