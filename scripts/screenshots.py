"""Take the pictures of docs/screenshots: every state, width, theme and language, from a server of their own.

    make screenshots                   all of them
    make screenshots ARGS="long 375"   only those whose names hold all of these

The answers are scripted, so that a picture only changes when the page does. The conversations at the side are
given their days in the database, which the API rightly would not do.
"""

import base64
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.browser import launched, new_context, sign_in  # noqa: E402 (once the path is set)
from tests.server import Server, User  # noqa: E402
from tests.upstream import Hold, Reasoning, Script, Step, Upstream  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = PROJECT / "docs" / "screenshots"
STATES = ("empty", "streaming", "error", "long")
SIZES = {1440: (900, 1), 768: (1024, 1), 375: (812, 2)}
THEMES = ("light", "dark")
QUALITY = 72


@dataclass(frozen=True)
class Words:
    """What is said in one language."""

    code: str
    locale: str
    # One for each state: what somebody leaves in their list must not stand in the next picture.
    people: tuple[str, ...]
    provider: str
    model: str
    # Title and age in days.
    titles: tuple[tuple[str, int], ...]
    first: str
    first_thoughts: str
    first_answer: str
    second: str
    second_answer: str
    failing: str


ENGLISH = Words(
    code="en",
    locale="en-US",
    people=("lin", "ada", "noor", "max"),
    provider="mistral",
    model="mistral-large-latest",
    titles=(
        ("A quiet garden on a balcony", 1),
        ("Regular expressions for dates", 1),
        ("What the tide tables say", 4),
        ("帮我写一封感谢信", 5),
        ("Raft, explained to a child", 12),
        ("A toast for the wedding", 20),
    ),
    first="Can a plain async Django view stream an answer?",
    first_thoughts="They want to stream tokens. A streaming response takes an async generator, so Channels "
    "is not needed. Worth a warning about database connections.",
    first_answer="""You don't need Channels. A `StreamingHttpResponse` takes an async generator, and under \
any ASGI server each piece goes out as it is made:

```python
async def answer(request):
    pieces = model.stream(await request_body(request))
    return StreamingHttpResponse(pieces, content_type="text/event-stream")
```

Two things to watch:

| Trap | What to do |
|---|---|
| A database connection held per stream | Do the work in short units, then let it go |
| The reader leaves | Let the answer go on, and save it |

1. **Write the row first**, so that the answer exists before its first word.
2. Keep what has arrived *once a second*.

> Who reloads the page finds the answer where it is.
""",
    second="And if somebody reloads the page in the middle of it?",
    second_answer="Then nothing is lost. The answer belongs to the server, not to the connection: after the "
    "reload the page asks for everything **after** what it already has, and goes on from there.\n\n"
    "- The position is part of every event.\n- Resuming is slicing a text, so",
    failing="Translate the minutes of Monday's meeting into French.",
)
CHINESE = Words(
    code="zh-hans",
    locale="zh-CN",
    people=("林夕", "阿岚", "小满", "子墨"),
    provider="deepseek",
    model="deepseek-v4-flash",
    titles=(
        ("阳台上的小花园", 1),
        ("用正则表达式匹配日期", 1),
        ("潮汐表怎么看", 4),
        ("Packing list for Norway", 5),
        ("给孩子讲讲 Raft 算法", 12),
        ("婚礼上的祝酒词", 20),
    ),
    first="普通的 Django 异步视图能流式输出回答吗？还是一定要用 Channels？",
    first_thoughts="对方想要流式输出。流式响应可以接收异步生成器，不需要 Channels。要提醒数据库连接的问题。",
    first_answer="""不需要 Channels。`StreamingHttpResponse` 可以直接接收异步生成器，在任何 ASGI 服务器上，\
每一段文字生成后都会立刻发出：

```python
async def answer(request):
    pieces = model.stream(await request_body(request))
    return StreamingHttpResponse(pieces, content_type="text/event-stream")
```

有两点要留意：

| 陷阱 | 办法 |
|---|---|
| 每个流占着一个数据库连接 | 把数据库操作切成小段，做完就归还连接 |
| 读者中途离开 | 让回答继续写完，并保存下来 |

1. **先写入一行记录**，这样在第一个字出现之前，回答就已经存在。
2. 已经到达的内容*每秒保存一次*。

> 刷新页面之后，回答还在原处等着。
""",
    second="那如果用户在回答到一半时刷新页面呢？",
    second_answer="什么都不会丢。回答属于服务器，而不是连接：刷新之后，页面只要求补上**还没有收到**的部分，"
    "然后从断开的位置继续。\n\n- 每个事件都带着自己的位置。\n- 接着读，只是把文字从那里切开，所以",
    failing="把周一的会议纪要翻译成法语。",
)
LANGUAGES = (ENGLISH, CHINESE)


class Studio:
    """One server, one scripted provider, and the people who sit for the pictures."""

    def __init__(self, server: Server, upstream: Upstream, browser: "Browser", wanted: list[str]) -> None:
        self.server = server
        self.upstream = upstream
        self.browser = browser
        self.wanted = wanted

    def take_all(self) -> None:
        for words in LANGUAGES:
            for state in STATES:
                names = [
                    (width, theme)
                    for width in SIZES
                    for theme in THEMES
                    if all(part in name_of(state, width, theme, words) for part in self.wanted)
                ]
                if names:
                    self._take(state, words, names)

    def _take(self, state: str, words: Words, names: list[tuple[int, str]]) -> None:
        person = self._person(state, words)
        path, held = getattr(self, f"_{state}")(person, words)
        try:
            for width, theme in names:
                self._shoot(person, words, path, state, width, theme)
        finally:
            if held is not None:
                held.release()

    def _person(self, state: str, words: Words) -> User:
        person = self.server.user(username=words.people[STATES.index(state)])
        person.patch("/api/auth/me", json={"language": words.code}).raise_for_status()
        person.provider, person.model = words.provider, words.model
        if state != "empty":
            person.configure(
                words.provider, baseUrl=self.upstream.base_url, apiKey="sk-for-the-pictures-0000"
            )
            self._fill_the_list(person, words)
        return person

    def _fill_the_list(self, person: User, words: Words) -> None:
        ids = []
        for title, _age in words.titles:
            body = {"title": title, "provider": words.provider, "model": words.model}
            made = person.post("/api/chat/sessions", json=body)
            made.raise_for_status()
            ids.append(made.json()["id"])
        with sqlite3.connect(self.server.folder / "data" / "chat.sqlite3", timeout=20) as database:
            for session_id, (_title, age) in zip(ids, words.titles, strict=True):
                day = datetime.now(UTC) - timedelta(days=age)
                database.execute(
                    "UPDATE chat_chatsession SET updated_at = ? WHERE id = ?",
                    (day.strftime("%Y-%m-%d %H:%M:%S.%f"), session_id.replace("-", "")),
                )

    # --- the states: each returns the path to look at, and what is held back until it has been seen ---

    def _empty(self, person: User, words: Words) -> tuple[str, Script | None]:
        return "/", None

    def _first_turn(self, person: User, words: Words) -> str:
        self._script(words, Reasoning(words.first_thoughts), *pieces(words.first_answer))
        return str(person.stream(words.first)[0].data["sessionId"])

    def _streaming(self, person: User, words: Words) -> tuple[str, Script | None]:
        session_id = self._first_turn(person, words)
        held = self._script(words, *pieces(words.second_answer), Hold())
        with person.streaming(words.second, sessionId=session_id) as live:
            written = ""
            while len(written) < len(words.second_answer):
                written += live.next("message").data["content"]
        return f"/c/{session_id}", held

    def _error(self, person: User, words: Words) -> tuple[str, Script | None]:
        session_id = self._first_turn(person, words)
        self.upstream.failing(401, name=words.model)
        person.stream(words.failing, sessionId=session_id)
        return f"/c/{session_id}", None

    def _long(self, person: User, words: Words) -> tuple[str, Script | None]:
        session_id = self._first_turn(person, words)
        self._script(words, words.second_answer.rpartition("\n- ")[0])
        person.stream(words.second, sessionId=session_id)
        self._script(words, Reasoning(words.first_thoughts), *pieces(words.first_answer))
        person.stream(words.first, sessionId=session_id)
        return f"/c/{session_id}", None

    def _script(self, words: Words, *steps: Step) -> Script:
        return self.upstream.script(*steps, name=words.model)

    # --- the pictures ---

    def _shoot(self, person: User, words: Words, path: str, state: str, width: int, theme: str) -> None:
        height, scale = SIZES[width]
        context = new_context(
            self.browser,
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=words.locale,
            device_scale_factor=scale,
            has_touch=width < 700,
            is_mobile=width < 700,
            reduced_motion="reduce",
        )
        try:
            page = context.new_page()
            sign_in(page, self.server, person)
            page.goto(f"{self.server.base_url}{path}")
            page.locator("#message").wait_for()
            if state == "streaming":
                page.locator("[data-live]").wait_for()
            time.sleep(0.6)
            target = FOLDER / name_of(state, width, theme, words)
            target.write_bytes(webp(page, width, height, scale))
            print(f"{target.name}  {target.stat().st_size // 1024} kB")
        finally:
            context.close()


def pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), 24):
        yield text[at : at + 24]


def webp(page: "Page", width: int, height: int, scale: int) -> bytes:
    session = page.context.new_cdp_session(page)
    # Without a clip that says so, a phone's picture comes at half of what its screen shows.
    top = page.evaluate("scrollY")
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": scale}
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY, "clip": clip})
    return base64.b64decode(taken["data"])


def name_of(state: str, width: int, theme: str, words: Words) -> str:
    return f"{state}-{width}-{theme}-{words.code.partition('-')[0]}.webp"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    upstream = Upstream()
    upstream.start()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server").start()
        try:
            with launched() as browser:
                Studio(server, upstream, browser, sys.argv[1:]).take_all()
        finally:
            server.stop()
            upstream.stop()


if __name__ == "__main__":
    main()
