"""What a page costs to load: little, once, and nothing that holds up the first paint."""

import gzip
import re

from playwright.sync_api import Response

from tests.accounts.visitor import Visitor
from tests.browser import sign_in
from tests.server import PROJECT

MOST_BYTES = 150_000
STYLES = PROJECT / "chat" / "static" / "chat"
PAINTED = """new Promise((done) => new PerformanceObserver(() => done(true))
  .observe({ type: "paint", buffered: true }))"""


def fetched(page, path, base_url):
    """Open a page as a first-time visitor does; return its assets by path."""
    assets: dict[str, Response] = {}
    page.on("response", lambda response: assets.setdefault(response.url.removeprefix(base_url), response))
    page.goto(f"{base_url}{path}")
    page.wait_for_load_state("networkidle")
    return {path: response for path, response in assets.items() if path.startswith("/static/")}


def test_all_assets_together_are_small():
    """Everything there is to load, though no page loads all of it."""
    sizes = {
        str(path.relative_to(STYLES)): len(gzip.compress(path.read_bytes()))
        for path in STYLES.rglob("*")
        if path.suffix in {".css", ".js", ".svg"}
    }

    assert len(sizes) > 20
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda item: -item[1])


def test_nothing_is_loaded_from_elsewhere(page, sqlite_server):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, sqlite_server, sqlite_server.user())
    for path in ("/", "/settings", "/settings/providers/openai", "/history"):
        page.goto(f"{sqlite_server.base_url}{path}")
        page.wait_for_load_state("networkidle")

    assert asked
    assert [url for url in asked if not url.startswith((sqlite_server.base_url, "data:"))] == []


def test_assets_are_fingerprinted_and_kept_for_ever(page, sqlite_server):
    sign_in(page, sqlite_server, sqlite_server.user())
    found = fetched(page, "/settings", sqlite_server.base_url)

    assert found
    for path, response in found.items():
        assert re.search(r"\.[0-9a-f]{12}\.\w+$", path), path
        assert "immutable" in response.headers["cache-control"], path
        assert "max-age=315360000" in response.headers["cache-control"], path


def test_text_assets_are_sent_compressed(sqlite_server):
    visitor = Visitor(sqlite_server)
    links = re.findall(r'href="(/static/chat/chat\.[^"]+\.css)"', visitor.get("/accounts/login").text)

    squeezed = {"Accept-Encoding": "gzip"}
    with sqlite_server.client(headers=squeezed) as client, client.stream("GET", links[0]) as response:
        raw = b"".join(response.iter_raw())

    assert response.headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(raw)) > len(raw)


def test_the_first_paint_waits_for_no_script(page, sqlite_server):
    """Every script is a module, which waits for the page, and not the page for it."""
    user = sqlite_server.user()
    session_id = user.stream("Painted at once /fast")[0].data["sessionId"]
    sign_in(page, sqlite_server, user)
    page.route("**/*.js", lambda route: None)  # they never arrive
    page.goto(f"{sqlite_server.base_url}/c/{session_id}", wait_until="commit")

    page.get_by_text("Painted at once", exact=False).last.wait_for()
    page.evaluate(PAINTED)
    assert page.evaluate("[...document.scripts].every((s) => s.type === 'module' || s.type.endsWith('json'))")
    page.unroute_all(behavior="ignoreErrors")
