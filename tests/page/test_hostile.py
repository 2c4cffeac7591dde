"""Whatever users, providers and models say, it stays text."""

import pytest
from playwright.sync_api import expect

from tests.page.desk import Desk
from tests.upstream import Reasoning

CANARY = "//canary.invalid"
HOSTILE = [
    "<script>window.ran = 1</script>",
    f"<img src={CANARY}/a.png onerror=window.ran=1>",
    f"![pixel](https:{CANARY}/b.png) ![x](javascript:window.ran=1) ![y](data:text/html,x)",
    "[click](javascript:window.ran=1) [click](JaVaScRiPt:window.ran=1)",
    "[c](data:text/html,<script>window.ran=1</script>)",
    "[click](&#106;avascript:window.ran=1) <javascript:window.ran=1> [c](\x01javascript:window.ran=1)",
    f"<iframe src={CANARY}></iframe><object data={CANARY}></object><embed src={CANARY}>",
    f"<form action={CANARY}><input name=q><button>Sign in again</button></form>",
    f"<style>@import '{CANARY}/c.css'; body {{ display: none }}</style><link rel=stylesheet href={CANARY}>",
    f"<svg onload=window.ran=1><use href={CANARY}/d.svg#x /></svg><math><mi xlink:href=javascript:1>",
    '```"><img src=x onerror=window.ran=1>\n</code></pre><script>window.ran=1</script>\n```',
    "</textarea></template></title></script><script>window.ran=1</script><!-- --!> <![CDATA[",
    f"<base href={CANARY}><meta http-equiv=refresh content='0;url={CANARY}'>",
    "<a href=/accounts/logout style=position:fixed;inset:0>x</a> [local](/admin/) [rel](//canary.invalid/x)",
    '[a](https://e.example/" onmouseover="window.ran=1)',
    '[b](https://e.example "\\" onfocus=window.ran=1 x=\\"")',
    "{{ 7 * 7 }} {% load static %} ${window.ran=1}",
]
DANGEROUS = (
    "script, style, link, iframe, object, embed, form, img, svg, math, base, meta, input, video, audio"
)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_stays_text_everywhere(desk: Desk, number: int):
    hostile = HOSTILE[number]
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    pieces = [hostile[at : at + 3] for at in range(0, len(hostile), 3)]
    desk.script(Reasoning(hostile), *pieces, delay=0.001)
    desk.send(hostile)
    answer = desk.answer()

    desk.page.reload()
    answer = desk.answer()

    expect(desk.page.locator(".bubble")).to_have_text(hostile.strip(), use_inner_text=False)
    assert answer.locator(".prose").locator(DANGEROUS).count() == 0
    assert answer.locator(".reasoning-text *").count() == 0
    for link in answer.locator(".prose a").all():
        assert (link.get_attribute("href") or "").lower().startswith(("http://", "https://", "mailto:"))
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
        assert link.evaluate("(a) => [...a.attributes].every((one) => !/^on|style/.test(one.name))")
    assert desk.page.evaluate("window.ran") is None
    assert [url for url in asked if not url.startswith(desk.server.base_url)] == []


def test_hostile_titles_models_and_names_stay_text(desk: Desk, page, sqlite_server):
    hostile = "<img src=x onerror=window.ran=1>\"'</script>"
    body = {"title": hostile, "provider": "custom", "model": hostile}
    session = desk.user.post("/api/chat/sessions", json=body).json()
    desk.user.stream("x", provider="custom", model=hostile, sessionId=session["id"])
    desk.open(f"/c/{session['id']}")

    expect(page.locator("#title")).to_have_text(hostile)
    expect(page.locator("#model-shown")).to_contain_text(hostile)
    expect(page.locator(".answer .model")).to_have_text(hostile)
    desk.open(f"/history?q={hostile.replace('#', '%23')}")
    expect(page.locator("h1")).to_contain_text(hostile)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.ran") is None


def test_pages_may_run_nothing_inline_and_be_framed_by_nobody(desk: Desk):
    for path in ("/", "/settings", "/history", "/admin/login/", "/accounts/login", "/nowhere"):
        response = desk.page.request.get(f"{desk.server.base_url}{path}", max_redirects=0)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
