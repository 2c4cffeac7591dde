"""Whatever users, providers and models say, it stays text, and nobody elsewhere hears of it."""

import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import new_context, sign_in
from tests.page.canary import Canary
from tests.page.desk import Desk
from tests.server import Server, User
from tests.upstream import Reasoning

DANGEROUS = (
    "script, style, link, iframe, object, embed, form, img, svg, base, meta, input, video, audio, template"
)


def hostile(canary: str) -> list[str]:
    return [
        "<script>window.ran = 1</script>",
        f"<img src={canary}/a.png onerror=window.ran=1>",
        f"![p](http:{canary}/b.png) ![x](javascript:window.ran=1) ![y](data:text/html,x) ![z]({canary}/)",
        f"[![in a link](http:{canary}/c.png)](http:{canary}/d) <http:{canary}/e.png>",
        "[click](javascript:window.ran=1) [click](JaVaScRiPt:window.ran=1) [v](vbscript:window.ran=1)",
        "[c](data:text/html,<script>window.ran=1</script>) [b](blob:x) [f](file:///etc/passwd)",
        "[click](&#106;avascript:window.ran=1) <javascript:window.ran=1> [c](\x01javascript:window.ran=1)",
        "[t](java\tscript:window.ran=1) [u](javascript&colon;window.ran=1) [n](javascript\n:window.ran=1)",
        f"<iframe src={canary}></iframe><object data={canary}></object><embed src={canary}>",
        f"<form action={canary}><input name=q><button>Sign in again</button></form>",
        f"<style>@import '{canary}/c.css'; body {{ display: none }}</style><link rel=preload href={canary}>",
        f"<svg onload=window.ran=1><use href={canary}/d.svg#x /></svg><math><mi xlink:href=javascript:1>",
        '```"><img src=x onerror=window.ran=1>\n</code></pre><script>window.ran=1</script>\n```',
        "```html\n<script>window.ran=1</script><img src=x onerror=window.ran=1>\n```",
        "</textarea></template></title></script><script>window.ran=1</script><!-- --!> <![CDATA[",
        f"<base href={canary}><meta http-equiv=refresh content='0;url={canary}'>",
        "<a href=/accounts/logout style=position:fixed>x</a> [local](/admin/) [rel](//evil.example/x)",
        '[a](https://e.example/" onmouseover="window.ran=1)',
        '[b](https://e.example "\\" onfocus=window.ran=1 x=\\"")',
        f"[r]: javascript:window.ran=1\n\n[r] [s]\n\n[s]: http:{canary}/s '<img src={canary}>'",
        f"| <img src={canary}/t> | b |\n|---|---|\n| <script>window.ran=1</script> | ![x](http:{canary}/u) |",
        f"$\\href{{javascript:window.ran=1}}{{x}} \\includegraphics{{http:{canary}/v}}$ $$\\text{{<img>}}$$",
        "{{ 7 * 7 }} {% load static %} ${window.ran=1} <%= 1 %> __proto__ [__proto__] [constructor]: x",
        "&lt;script&gt;window.ran=1&lt;/script&gt; &#60;img src=x onerror=window.ran=1&#62;",
        "\u202eevil\u202c \u2028<script>window.ran=1</script>\u2029 \ufeff<svg/onload=window.ran=1>",
    ]


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


def harmless(prose: Locator) -> None:
    assert prose.locator(DANGEROUS).count() == 0
    for link in prose.locator("a").all():
        address = link.get_attribute("href")
        assert address is None or address.lower().startswith(("http://", "https://", "mailto:"))
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
    strange = prose.evaluate(
        """(prose) => [...prose.querySelectorAll("*")].flatMap((one) => [...one.attributes])
            .filter(({ name }) => /^on|^style$|^srcset$|^formaction$|^src$/.test(name)).length"""
    )
    assert strange == 0


def test_the_canary_hears_whoever_comes(canary: Canary):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(OSError):
        opener.open(f"http:{canary.address}/x", timeout=5)

    assert canary.heard[0].startswith(b"GET /x ")


@pytest.mark.long
def test_hostile_text_stays_text_everywhere(desk: Desk, canary: Canary):
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    texts = hostile(canary.address)
    for text in texts:
        pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        desk.script(Reasoning(text), *pieces, delay=0.001)
        desk.send(text)
        harmless(desk.answer().locator(".prose"))

    shown = desk.page.locator("#conversation").inner_text()
    desk.page.reload()

    expect(desk.page.locator(".answer[data-status=complete]")).to_have_count(len(texts))
    for text, bubble in zip(texts, desk.page.locator(".bubble").all(), strict=True):
        expect(bubble).to_have_text(text.strip(), use_inner_text=False)
        assert bubble.locator("*").count() == 0
    for prose in desk.page.locator(".answer .prose").all():
        harmless(prose)
    assert desk.page.locator(".reasoning-text *").count() == 0
    assert desk.page.locator("#conversation").inner_text() == shown
    assert desk.page.evaluate("window.ran") is None
    assert [url for url in asked if not url.startswith(desk.server.base_url)] == []
    assert canary.heard == []


def test_no_piece_of_hostile_text_does_anything_wherever_it_is_cut(desk: Desk, canary: Canary):
    """Every text is shown up to every one of its characters, and then whole."""
    found = desk.page.evaluate(
        """async ([texts, dangerous]) => {
            const { LiveProse } = await import("/static/chat/prose.js");
            const found = [];
            const look = (place, text, at) => {
                if (place.querySelector(dangerous)) found.push([text, at, place.outerHTML]);
                for (const { href, protocol } of place.querySelectorAll("a[href]")) {
                    if (!["http:", "https:", "mailto:"].includes(protocol)) found.push([text, at, href]);
                }
                for (const { attributes } of place.querySelectorAll("*")) {
                    for (const { name } of attributes) {
                        if (/^on|^style$|^src/.test(name)) found.push([text, at, name]);
                    }
                }
            };
            for (const text of texts) {
                for (let at = 1; at < text.length; at += 1) {
                    const place = document.createElement("div");
                    document.querySelector("#conversation").append(place);
                    const live = new LiveProse(place);
                    live.append(text.slice(0, at));
                    live.draw();
                    look(place, text, at);
                    live.draw({ settle: true });
                    look(place, text, at);
                    live.append(text.slice(at));
                    live.draw();
                    live.finish();
                    look(place, text, at);
                    place.remove();
                }
            }
            return found;
        }""",
        [hostile(canary.address), DANGEROUS],
    )
    # Whatever the text made the page load was asked for before this image.
    desk.page.evaluate("""new Promise((done) => {
        const image = new Image();
        image.onload = image.onerror = () => done();
        image.src = "/no-such-image";
    })""")

    assert found == []
    assert desk.page.evaluate("window.ran") is None
    assert canary.heard == []


def test_hostile_titles_models_and_errors_stay_text(desk: Desk, canary: Canary):
    page = desk.page
    title = f"<img src={canary.address}/x onerror=window.ran=1>\"'</script>"
    body = {"title": title, "provider": "custom", "model": title}
    session = desk.user.post("/api/chat/sessions", json=body).json()
    desk.user.stream("x", provider="custom", model=title, sessionId=session["id"])
    desk.open(f"/c/{session['id']}")

    expect(page.locator("#title")).to_have_text(title)
    expect(page.locator("#model-shown")).to_contain_text(title)
    expect(page.locator(".answer .model")).to_have_text(title)
    desk.open(f"/history?q={title.replace('#', '%23')}")
    expect(page.locator("h1")).to_contain_text(title)
    desk.open()
    desk.choose("custom", desk.upstream.failing(400, f"{title} is no model"))
    desk.send("And what the provider says of it?")
    desk.answer("failed")
    assert page.locator("img").count() == 0
    assert page.evaluate("window.ran") is None
    assert canary.heard == []


def test_a_hostile_user_name_stays_text(page: Page, sqlite_server: Server):
    # Only an administrator could make such an account: registration refuses the characters.
    refused = sqlite_server.client().post(
        "/api/auth/register", json={"username": "<b>x</b>", "password": "a long enough pass phrase"}
    )
    assert refused.status_code == 400
    user = sqlite_server.user(username="x@y.z+o_o-.")
    sign_in(page, sqlite_server, user)

    expect(page.locator(".who")).to_have_text("x@y.z+o_o-.")


@pytest.mark.parametrize(
    "path", ["/", "/settings", "/history", "/admin/login/", "/accounts/login", "/nowhere"]
)
def test_pages_may_run_nothing_inline_and_be_framed_by_nobody(desk: Desk, path: str):
    response = desk.page.request.get(f"{desk.server.base_url}{path}", max_redirects=0)
    policy = dict(
        directive.strip().partition(" ")[::2]
        for directive in response.headers["content-security-policy"].split(";")
    )

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in str(policy)


def test_text_cannot_become_markup_in_the_page(browser: Browser, sqlite_server: Server, alice: User):
    context = new_context(browser)  # of its own: nobody minds what is refused here
    page = context.new_page()
    sign_in(page, sqlite_server, alice)
    refused = page.evaluate(
        """() => ["<b>x</b>", () => trustedTypes.createPolicy("mine", {})].map((what) => {
            try {
                if (typeof what === "function") what();
                else document.createElement("div").innerHTML = what;
                return "";
            } catch (error) {
                return error.name;
            }
        })"""
    )
    context.close()

    assert refused == ["TypeError", "TypeError"]


def test_the_scripts_of_others_are_cleaned_after(browser: Browser, sqlite_server: Server):
    context = new_context(browser)  # of its own: the cleaner's own look at what it refuses is reported, too
    page = context.new_page()
    sign_in(page, sqlite_server, sqlite_server.admin())
    for path in ("/admin/accounts/user/add/", "/api/docs"):
        page.goto(f"{sqlite_server.base_url}{path}")
        made = page.evaluate(
            """() => {
                const place = document.createElement("div");
                place.innerHTML = "<b onclick=x>said</b><img src=x onerror='window.ran=1'><script>1</script>";
                return place.innerHTML;
            }"""
        )
        assert made == '<b>said</b><img src="x">'
    expect(page.locator(".opblock").first).to_be_visible()
    page.goto(f"{sqlite_server.base_url}/admin/accounts/user/")
    assert page.evaluate("typeof django.jQuery('<p>').appendTo") == "function"
    context.close()
