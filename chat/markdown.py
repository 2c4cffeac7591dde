"""A model's markdown as HTML that can do nothing.

What a model says is hostile: it may repeat whatever it was given to read. So
HTML in it stays text, nothing is fetched from anywhere, links open elsewhere
and only http, https and mailto are links. Two independent hands see to it: the
renderer, which never writes anything else, and nh3, which would remove it.

While an answer is being written, the page's own script shows it by the same
rules (static/chat/markdown.js): what changes here changes there.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml, isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# Beyond this the time to parse is no longer worth the looks.
MAX_CHARS = 100_000
# Each row of a table is filled up to the width of its first.
_MAX_CELLS = 50_000
SCHEMES = {"http", "https", "mailto"}

_LANGUAGE_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+#-_.")
_TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "s", "a", "small", "code", "pre", "figure", "figcaption", "div", "span"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title", "target"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
_CLASSES = {"figure": {"code"}, "div": {"table", "math"}, "span": {"math"}, "a": {"image"}}
# TeX between dollars or escaped brackets. What is longer is no formula.
_MATH_CLOSING = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_MATH_BLOCK_CLOSING = {"\\[": "\\]", "$$": "$$"}
_MATH_CHARS = 2000
_MATH_LINES = 100
_MATH = re.compile(r"((?:\\[^\n]|[^$\\\n])+)\$(?![A-Za-z0-9$])")
_TASK = re.compile(r"\[([ xX])\][ \t\n]")
_NO_OPENING = re.compile(r"[A-Za-z0-9$\\]")
# What JavaScript takes for white space.
_SPACES = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_HOST = re.compile(r"[a-z0-9._:-]+")
# Chinese, Japanese and Korean are written without spaces about words.
_WIDE = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)


def to_html(text: str) -> SafeString:
    """Return what may stand in a page as it is."""
    if len(text) > MAX_CHARS or _most_cells(text) > _MAX_CELLS:
        return mark_safe(f'<div class="plain">{escape(text)}</div>')  # noqa: S308 (escaped just here)
    html = _rendered.get(text)
    if html is None:
        # Whoever else opens it meanwhile waits for what comes of it.
        with _turns[hash(text) % len(_turns)]:
            html = _rendered.get(text)
            if html is None:
                html = _clean(_markdown.render(text))
                _rendered.put(text, html)
    return mark_safe(html)  # noqa: S308 (cleaned just here)


def _most_cells(text: str) -> int:
    rows = [bars for line in text.split("\n") if (bars := line.count("|"))]
    return max(rows, default=0) * len(rows)


class _Rendered:
    """What was rendered lately: conversations are opened again and again, their answers stay as they are."""

    def __init__(self, most_chars: int) -> None:
        self._most_chars = most_chars
        self._chars = 0
        self._html: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str) -> str | None:
        with self._lock:
            if text in self._html:
                self._html.move_to_end(text)
            return self._html.get(text)

    def put(self, text: str, html: str) -> None:
        with self._lock:
            if text in self._html:
                return
            self._html[text] = html
            self._chars += len(text) + len(html)
            while self._chars > self._most_chars:
                old = self._html.popitem(last=False)
                self._chars -= len(old[0]) + len(old[1])


_rendered = _Rendered(8_000_000)
_turns = [threading.Lock() for _ in range(64)]


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        tag_attribute_values={"pre": {"tabindex": {"0"}}, "div": {"tabindex": {"0"}}},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer nofollow",
        url_schemes=SCHEMES,
        url_relative="deny",
        strip_comments=True,
    )


class _Renderer(RendererHTML):
    """Writes code with its language above it, wide tables so that they can scroll, and no image."""

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        info = tokens[idx].info.strip().split(maxsplit=1)
        return _code(tokens[idx].content, info[0] if info else "")

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code(tokens[idx].content, "")

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # To fetch it would tell its server that somebody reads this, and what an
        # attacker had the model write into the address. So it is a link that names its server.
        address = str(tokens[idx].attrGet("src") or "")
        name = escapeHtml(_plain(tokens[idx].children or []) or address)
        if tokens[idx].meta.get("linked"):
            return name
        host = _host(address)
        shown = f"{name} <small>{escapeHtml(host)}</small>" if host else name
        return f'<a class="image" href="{escapeHtml(address)}">{shown}</a>'

    def math_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # Its source can be read; the page's script sets it.
        return f'<span class="math">{escapeHtml(tokens[idx].content)}</span>'

    def math_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<div class="math">{escapeHtml(tokens[idx].content)}</div>\n'

    def renderInline(self, tokens: Sequence[Token], options: OptionsDict, env: EnvType) -> str:
        # A link within a link is none: an address in one is text, and an image is only named.
        links = 0
        kept = []
        for token in tokens:
            links += max(token.nesting, 0) if token.tag == "a" else 0
            if token.tag != "a" or links == 1:
                kept.append(token)
            if links and token.type == "image":
                token.meta["linked"] = True
            links += min(token.nesting, 0) if token.tag == "a" else 0
        return super().renderInline(kept, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def _heading(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # The page has its title at the first level, and whose message it is at the second.
        token = tokens[idx]
        token.tag = f"h{min(int(token.tag[1:]) + 2, 6)}"
        return self.renderToken(tokens, idx, options, env)

    heading_open = _heading
    heading_close = _heading

    def _cell(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # The parser aligns with a style attribute, which the page's policy refuses.
        token = tokens[idx]
        style = str(token.attrs.pop("style", ""))
        if style.startswith("text-align:"):
            token.attrSet("align", style.removeprefix("text-align:"))
        return self.renderToken(tokens, idx, options, env)

    th_open = _cell
    td_open = _cell


def _code(content: str, language: str) -> str:
    shown = language.lower() if set(language.lower()) <= _LANGUAGE_CHARS else ""
    caption = f"<figcaption>{escapeHtml(shown[:30])}</figcaption>"
    return (
        f'<figure class="code">{caption}<pre tabindex="0"><code>{escapeHtml(content)}</code></pre></figure>\n'
    )


def _plain(tokens: Sequence[Token]) -> str:
    """Return what tokens say, without their marks."""
    said = []
    for token in tokens:
        if token.type in {"text", "text_special", "code_inline", "math_inline"}:
            said.append(token.content)
        elif token.type == "image":
            said.append(_plain(token.children or []))
        elif token.type in {"softbreak", "hardbreak"}:
            said.append("\n")
    return "".join(said)


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        host = parts.hostname if parts.port is None or parts.port >= 0 else None
    except ValueError:
        return ""
    return host if host and _HOST.fullmatch(host) else ""


def _is_link(address: str) -> bool:
    scheme, colon, rest = address.partition(":")
    return bool(colon and rest) and scheme.strip().lower() in SCHEMES


def _build() -> MarkdownIt:
    # A single line break is one, as in every chat: models write verse and addresses with it.
    options: dict[str, Any] = {"html": False, "breaks": True, "linkify": False, "typographer": False}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.inline.ruler.at("emphasis", _emphasis)
    markdown.inline.ruler.before("escape", "math", _math)
    markdown.block.ruler.before(
        "fence", "math", _math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    markdown.core.ruler.before("inline", "tasks", _tasks)
    markdown.validateLink = _is_link  # type: ignore[method-assign, assignment]  # documented as replaceable
    return markdown


def _tasks(state: StateCore) -> None:
    """Show the boxes of a list of tasks, which nobody can tick here, as signs."""
    for item, paragraph, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if (item.type, paragraph.type, inline.type) != ("list_item_open", "paragraph_open", "inline"):
            continue
        if found := _TASK.match(inline.content):
            inline.content = ("\u2610" if found[1] == " " else "\u2611") + inline.content[3:]


def _math(state: StateInline, silent: bool) -> bool:
    """Read TeX between dollars or escaped brackets."""
    found = _formula(state.src, state.pos, state.posMax)
    if found is None:
        return False
    content, end = found
    if not silent:
        state.push("math_inline", "math", 0).content = content
    state.pos = end
    return True


def _formula(text: str, pos: int, pos_max: int) -> tuple[str, int] | None:
    opening = text[pos : pos + 2]
    limit = min(pos_max, pos + _MATH_CHARS)
    if opening in _MATH_CLOSING:
        at = text.find(_MATH_CLOSING[opening], pos + 2, limit)
        content = text[pos + 2 : at].strip(_SPACES) if at >= 0 else ""
        return (content, at + 2) if content else None
    if opening[:1] != "$" or opening[1:] in {"", "$", *_SPACES} or (pos and _NO_OPENING.match(text[pos - 1])):
        return None
    found = _MATH.match(text, pos + 1, limit)
    if found is None or found[1][-1] in _SPACES:
        return None
    return found[1], found.end()


def _math_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Read a formula of its own lines."""

    def text_of(line: int) -> str:
        return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]

    first = text_of(start_line)
    closing = _MATH_BLOCK_CLOSING.get(first[:2])
    if closing is None or state.is_code_block(start_line):
        return False
    # Every line may ask this, for several rules: what one has looked through, the next need not.
    known: dict[object, tuple[int, int]] = state.env.setdefault("formula_lines", {})
    view = (closing, state.level, state.blkIndent, end_line)
    begun, until = known.get(view, (0, 0))
    line, rest = start_line, first[2:]
    while (at := rest.find(closing)) < 0:
        line = until if line == start_line and begun <= start_line < until else line + 1
        if line >= end_line or line - start_line > _MATH_LINES or state.sCount[line] < state.blkIndent:
            break
        rest = text_of(line)
        if not rest.strip(_SPACES):
            break
    if line > start_line:
        known[view] = (start_line, line)
    if at < 0 or rest[at + 2 :].strip(_SPACES):
        return False
    lines = [first[2:], *map(text_of, range(start_line + 1, line))] if line > start_line else []
    content = "\n".join([*lines, rest[:at]]).strip(_SPACES)
    if not content:
        return False
    if not silent:
        state.line = line + 1
        token = state.push("math_block", "math", 0)
        token.content = content
        token.map = [start_line, state.line]
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Read a run of asterisks or underscores, as CommonMark does, but for wide characters.

    By the letter, `**注意：**这` is not bold: a closing mark may not stand between punctuation and
    a letter. In scripts without spaces it often has to.
    """
    marker = state.src[state.pos]
    if silent or marker not in "_*":
        return False
    opens, closes, length = _flanks(state, marker)
    for _count in range(length):
        token = state.push("text", "", 0)
        token.content = marker
        place = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), length, place, end=-1, open=opens, close=closes))
    state.pos += length
    return True


def _flanks(state: StateInline, marker: str) -> tuple[bool, bool, int]:
    """Tell whether a run of markers may open and close, by what stands on its sides, and its length."""
    source, start, end = state.src, state.pos, state.pos
    while end < state.posMax and source[end] == marker:
        end += 1
    space_before, punctuation_before, edge_before = _kind(source[start - 1] if start else " ")
    space_after, punctuation_after, edge_after = _kind(source[end] if end < state.posMax else " ")
    left = not space_after and (not punctuation_after or space_before or edge_before)
    right = not space_before and (not punctuation_before or space_after or edge_after)
    anywhere = marker == "*"
    opens = left and (anywhere or not right or edge_before)
    closes = right and (anywhere or not left or edge_after)
    return opens, closes, end - start


def _kind(character: str) -> tuple[bool, bool, bool]:
    """Tell whether a character is white space, narrow punctuation, and anything that ends a word."""
    code = ord(character)
    if isWhiteSpace(code):
        return True, False, False
    punctuation = isMdAsciiPunct(code) or isPunctChar(character)
    wide = _WIDE.match(character) is not None
    return False, punctuation and not wide, punctuation or wide


_markdown = _build()
