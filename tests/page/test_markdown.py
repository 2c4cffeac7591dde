import time

import pytest

from chat.markdown import MAX_CHARS, to_html

OUTSIDE = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *i* ~~s~~ `c<d`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c&lt;d</code></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>\n'),
        ("<b>no</b> &amp; &lt;", "<p>&lt;b&gt;no&lt;/b&gt; &amp; &lt;</p>\n"),
        (
            "[x](https://e.org/?a=1&b=2)",
            f'<p><a href="https://e.org/?a=1&amp;b=2" {OUTSIDE}>x</a></p>\n',
        ),
        (
            "![a *b*](http://e.org/i.png)",
            f'<p><a class="image" href="http://e.org/i.png" {OUTSIDE}>a b <small>e.org</small></a></p>\n',
        ),
        (
            "[![a](http://e.org/i.png) b](http://e.org)",
            f'<p><a href="http://e.org" {OUTSIDE}>a b</a></p>\n',
        ),
        (
            "so \\(x_1*y*\\) or $a<b$",
            '<p>so <span class="math">x_1*y*</span> or <span class="math">a&lt;b</span></p>\n',
        ),
        ("\\[\na\n+ b\n\\]", '<div class="math">a\n+ b</div>\n'),
        ("$5 and $6, $A/$B", "<p>$5 and $6, $A/$B</p>\n"),
        ("**注意：**这", "<p><strong>注意：</strong>这</p>\n"),
        ("是**“好”**的", "<p>是<strong>“好”</strong>的</p>\n"),
        (
            "![](http://[)",
            '<p><a class="image" target="_blank" rel="noopener noreferrer nofollow">http://%5B</a></p>\n',
        ),
        (
            '```C++ x\n<&"\n```',
            '<figure class="code"><figcaption>c++</figcaption>'
            '<pre tabindex="0"><code>&lt;&amp;"\n</code></pre></figure>\n',
        ),
        (
            '```"><b\nx\n```',
            '<figure class="code"><figcaption></figcaption>'
            '<pre tabindex="0"><code>x\n</code></pre></figure>\n',
        ),
        ("- [ ] a\n- [x] b\n- [x]c", "<ul>\n<li>☐ a</li>\n<li>☑ b</li>\n<li>[x]c</li>\n</ul>\n"),
        ("# a\n\n#### b", "<h3>a</h3>\n<h6>b</h6>\n"),
        ("[x](/admin) [y](javascript:1)", "<p>[x](/admin) [y](javascript:1)</p>\n"),
    ],
)
def test_markdown_becomes(text, html):
    assert to_html(text) == html


def test_tables_scroll_and_align_without_a_style():
    html = to_html("| a | b |\n|---|:-:|\n| 1 | 2 |")

    assert '<div class="table" tabindex="0"><table>' in html
    assert '<td align="center">2</td>' in html
    assert "style" not in html


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "[a](b",
        "**a",
        "*a ",
        "<",
        "&",
        "> ",
        "- ",
        "`a``",
        "|a",
        "~~",
        "_a__",
        "$",
        "$a",
        "\\(",
        "\\[\n",
        "$$\n",
    ],
)
def test_no_text_takes_long(piece):
    text = piece * (100_000 // len(piece))

    begun = time.process_time()
    to_html(text)

    # Ten times what it takes; what would be quadratic takes minutes.
    assert time.process_time() - begun < 30


def test_what_is_too_long_to_parse_is_shown_as_it_is():
    assert to_html("<i>" * MAX_CHARS).startswith('<div class="plain">&lt;i&gt;')
