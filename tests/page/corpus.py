"""Markdown as models write it, whole and broken."""

import random

ANSWER = """\
# Streaming from Django

You **don't** need *Channels*. A `StreamingHttpResponse` takes an ~~sync~~ **async generator**, and
under any ASGI server each piece goes out as it is made:

```python
async def answer(request):
    # "quoted" & <tagged>
    return StreamingHttpResponse(pieces(), content_type="text/event-stream")
```

Two things to watch:

| Trap | What to do | n |
|:-----|:----------:|--:|
| A connection per stream | Do the work in `short` units | 1 |
| The **reader** leaves | Let it [go on](https://e.org/a?b=1&c=2 "why") | 22 |

1. First
   - nested *one*
   - nested two

     with a paragraph
2. Second

> A quote
> of two lines
>
> - with a list

---

**注意：**这是“**重点**”。See <https://e.org/> and ![a *picture*](https://img.example/p.png).

Done\\* &amp; dusted.
"""

TEXTS = [
    ANSWER,
    "plain",
    "two\nlines  \nthree\\\nfour",
    "# one\n\n## two ##\n\n### three\n#### four\n##### five\n###### six\n####### seven",
    "Title\n=====\n\nOther\n---\n\ntext\nof two lines\n===",
    "***both*** **a *b* c** *a **b** c* __x__ _y_ snake_case_name 2*3*4 ** no ** a*b*c",
    "**open *and open",
    "**注意：**这 是**“好”**的 *“一”*二 **bold**。**再** _中_文_",
    "`a` ``b ` c`` ` d ` `open",
    "[a|<https://e.org>[a]`$[&amp;`__```py\n(x\\)* [`a`](https://e.org) [`b](https://e.org)`",
    "~~gone~~ ~one~ ~~~three~~~",
    "- a\n- b\n\n- c\n\n\n- d",
    "- a\n  - b\n    - c\n\n      d\n- e",
    "* a\n+ b\n- c",
    "1. a\n1. b\n\n7) c\n8) d",
    "3. three\n4. four",
    "- [ ] task\n- [x] done",
    "text\n- list\n- right after\n1. and\n2. numbers",
    "- a\n\n    code\n\n- b\n\n\ttab",
    "> a\nlazy\n\n> b\n>> c\n> d\n\n> ```\n> code",
    "```\nno language\n```\n\n```js\nlet a = 1 < 2 && '&amp;';\n```\n\n~~~~c++ extra words\n~~~\n~~~~",
    "```python\nunclosed\n\n# still code",
    "````\n```\nnested\n```\n````\nafter",
    "    indented code\n\n    more\n\ntext",
    '```"><b\nx\n```',
    "```A_Very-Long.Language#Name+That-Goes-On-And-On\nx\n```",
    "| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |\n| `a\\|b` | **c** |\n\nafter",
    "a | b\n--|--\n1 | 2\ntext",
    "|a|\n|-|\n",
    "| not | a table |\n| really |",
    "[x](https://e.org) [y](/local) [z](javascript:alert(1)) [m](mailto:a@b.c) [w](HTTPS://E.org 'T')",
    "[a]: https://e.org/one 'title'\n\n[a] [b][a] [c][] [c]\n\n[c]: <https://e.org/two>",
    "[late] then\n\n[late]: https://e.org/late",
    "<https://e.org/?q=1&r=2> <mailto:a@b.c> <a@b.c> <javascript:1> <ftp://e.org>",
    "![p](http://e.org/i.png) ![](https://a.b/c) ![x](data:image/png;base64,AA) ![t](//e.org/x 'y')",
    "[![in a link](https://a.b/c.png) and text](https://e.org)",
    "[broken](http://[) [port](http://a:99999999/) [user](https://a@b.c/) ![x](https://u:p@EXAMPLE.org:8/)",
    "[idn](http://例え.jp/パス?q=値) <http://xn--r8jz45g.jp/> [pct](http://e.org/%E4%BE%8B%zz)",
    "<b>html</b> <script>alert(1)</script> <!-- c --> <div\nx>\n\n<div>\nblock\n</div>",
    "&amp; &lt; &#60; &#x3c; &copy; &nbsp;x &hellip; &notaname; &#0; &#1114112; & &",
    "\\* \\_ \\` \\# \\[ \\\\ \\< \\a",
    "a\n\n***\n\nb\n\n- - -\n\n___",
    "tab\there\n\n\tcode\n-\ttabbed",
    "emoji 😀**😀**😀 *𝄞* zero\u200bwidth \u2028 line",
    "windows\r\nlines\r\n\r\n- a\r\n- b\rold mac",
    "nul \0 here",
    "a  \nb\n   c\n\n   d",
    "[nested [brackets]](https://e.org) [a](<https://e.org/a b>) [p](https://e.org/(x))",
    "> - 1. deep\n>   2. deeper\n>\n>      para",
    "+\n\n-\n\n1.\n\n#\n\n>\n",
    "- one\n\ntext between\n\n- two",
    "**bold\n\nnot closed** `code\n\nover` paragraphs",
    "line\n    continued with indent\n\ttab",
    "https://bare.example/ and www.bare.example",
    "so \\(x_1 * y_2 * z\\) and $a_1 + b_2$, $$\\frac{a}{b}$$ and \\[ c^2 \\] end",
    "\\[\nx\n+ y\n= z\n\\]\n\ntext\n$$\n\\sum_{i=1}^n i\n$$\nafter",
    "- item\n  $$\n  x^2\n  $$\n- \\(y\\)\n\n> $$ z $$",
    "$$ not closed\n\n\\( nor this \\[ nor\n\n$$\n\n$$\n",
    "pay $5 or $A/$B, $PATH and $HOME, 3$x$ $ x$ $x $ \\$x$ $x\\$y$ $$x$$y $x$z",
    "`$a$` **$a*b$** [$x$](https://e.org) ![$x$](https://e.org) | $|x|$ |",
    "bad $x_$ and $\\frac{1}$ and \\(a^\\)\n\n$$\n\\frac{1}\n$$\n\ntext\n\n- $x_$\n\nend\n\nend",
    "$5 and $6, or 10$ $ 20 $",
]

PIECES = [
    *(
        "# ",
        "## ",
        "- ",
        "* ",
        "1. ",
        "> ",
        "  ",
        "    ",
        "\n",
        "\n\n",
        "\n",
        "\n",
        " ",
        "word",
        "字",
        "。",
        "“",
        "”",
    ),
    *(
        "**",
        "*",
        "_",
        "__",
        "~~",
        "`",
        "``",
        "```",
        "```py\n",
        "\n```\n",
        "~~~\n",
        "|",
        "|-",
        "--|--\n",
        "---\n",
        "===",
    ),
    *(
        "[",
        "]",
        "(",
        ")",
        "](https://e.org/)",
        "![",
        "[a]: http://e.org\n",
        "[a]",
        "<",
        ">",
        "<https://e.org>",
    ),
    *("\\", "&", "&amp;", "!", "a", "1", ".", "\t", "$", "$$", "\\(", "\\)", "\\[", "\\]", "x^2", "\r\n"),
]


def nonsense(count: int, seed: int = 7) -> list[str]:
    """Return texts put together at random, the same ones each time."""
    chance = random.Random(seed)
    return ["".join(chance.choices(PIECES, k=chance.randint(2, 30))) for _number in range(count)]
