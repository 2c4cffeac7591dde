"""A model's markdown as HTML that can do nothing.

What a model says is hostile: it may repeat whatever it was given to read. So
HTML in it stays text, nothing is fetched from anywhere, links open elsewhere
and only http, https and mailto are links. Two independent hands see to it: the
renderer, which never writes anything else, and nh3, which would remove it.
"""

from collections.abc import Sequence
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# Beyond this the time to parse is no longer worth the looks.
MAX_CHARS = 200_000
SCHEMES = {"http", "https", "mailto"}

_LANGUAGE_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+#-_.")
_TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "s", "a", "code", "pre", "figure", "figcaption", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title", "target"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
_CLASSES = {"figure": {"code"}, "div": {"table"}}


def to_html(text: str) -> SafeString:
    """Return what may stand in a page as it is."""
    if len(text) > MAX_CHARS:
        return mark_safe(f'<div class="plain">{escape(text)}</div>')  # noqa: S308 (escaped just here)
    return mark_safe(_clean(_markdown.render(text)))  # noqa: S308 (cleaned just here)


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
        # attacker had the model write into the address.
        token = tokens[idx]
        address = str(token.attrGet("src") or "")
        name = self.renderInlineAsText(token.children, options, env) or address
        return f'<a href="{escapeHtml(address)}">{escapeHtml(name)}</a>'

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


def _is_link(address: str) -> bool:
    scheme, colon, rest = address.partition(":")
    return bool(colon and rest) and scheme.strip().lower() in SCHEMES


def _build() -> MarkdownIt:
    # A single line break is one, as in every chat: models write verse and addresses with it.
    options: dict[str, Any] = {"html": False, "breaks": True, "linkify": False, "typographer": False}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = _is_link  # type: ignore[method-assign, assignment]  # documented as replaceable
    return markdown


_markdown = _build()
