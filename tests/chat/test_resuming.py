"""Readers that lose their connection again and again: what they gather is the stored text, exactly once."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chat.test_stream import wait_for_end
from tests.server import LiveStream, User
from tests.upstream import Hold, Raw, Reasoning, Script, Upstream

# One character or two, three or four bytes, one or several code points each.
WORDS = ["word ", "你好，", "世界", "🌍", "👩‍👩‍👧", "👍🏽", "é", "\r\n", "\u2028", "𝒳", "🇩🇪", "x"]


def split_pair() -> list[Raw]:
    """Return the two halves of one character beyond U+FFFF, each in a chunk of its own."""
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    return [Raw(chunk % b"\\ud83d"), Raw(chunk % b"\\ude00")]


def varied(upstream: Upstream, *, delay: float) -> Script:
    dice = random.Random(7)
    steps = [dice.choice(WORDS) for _ in range(100)]
    thoughts = [Reasoning(dice.choice(WORDS)) for _ in range(20)]
    return upstream.script(*thoughts, *steps[:50], *split_pair(), Hold(), *steps[50:], "完", delay=delay)


class Forgetful:
    """A reader whose connection is cut after every few events."""

    def __init__(self, user: User, session: str, seed: int) -> None:
        self.user, self.session, self.dice = user, session, random.Random(seed)
        self.text = self.reasoning = ""
        self.last: str | None = None
        self.cuts = 0
        self.end = ""

    def read(self) -> "Forgetful":
        while not self.end:
            headers = {"Last-Event-ID": self.last} if self.last else {}
            path = f"/api/chat/sessions/{self.session}/stream"
            with self.user.opened("GET", path, headers=headers) as live:
                self._some(live, self.dice.randint(1, 3))
            self.cuts += not self.end
        return self

    def _some(self, live: LiveStream, count: int) -> None:
        for event in live:
            self.last = event.id
            if event.name == "message":
                self.text += event.data["content"]
            elif event.name == "reasoning":
                self.reasoning += event.data["content"]
            elif event.name != "session":
                self.end = event.name
            count -= event.name != "session"
            if not count:
                return


def test_any_number_of_cuts_gives_the_stored_text_exactly_once(alice: User, upstream: Upstream) -> None:
    model = varied(upstream, delay=0.02)
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(Forgetful(alice, session, seed).read) for seed in range(6)]
            threading.Timer(2, model.release).start()
            read = [reader.result() for reader in readers]
        whole = live.rest()

    stored = wait_for_end(alice, session)
    assert stored["status"] == "complete"
    assert "😀" in str(stored["content"])
    assert str(stored["content"]).endswith("完")
    assert (whole.text, whole.reasoning) == (stored["content"], stored["reasoning"])
    for reader in read:
        assert (reader.text, reader.reasoning) == (stored["content"], stored["reasoning"])
        assert reader.end == "done"
    assert sum(reader.cuts for reader in read) >= 6


def test_an_answer_that_has_just_ended_goes_on_from_every_position(alice: User, upstream: Upstream) -> None:
    model = varied(upstream, delay=0)
    model.release()
    answer = alice.stream("Hi", "custom", model)
    session = answer.session["sessionId"]
    stored = alice.messages(session)[-1]
    at = f"{answer.session['messageId']}:{len(stored['reasoning'])}"

    for position in range(0, len(stored["content"]) + 1, 9):
        rest = alice.resume(session, f"{at}-{position}")

        assert rest.text == stored["content"][position:]
        assert rest.reasoning == ""
        assert rest.names[-1] == "done"


@pytest.mark.parametrize("repeats", ["at once", "later"])
def test_a_repeated_request_goes_on_from_the_last_event(
    alice: User, upstream: Upstream, repeats: str
) -> None:
    model = upstream.script("一 ", "👍🏽 ", Hold(), "three")
    headers = {"Idempotency-Key": f"key-{time.monotonic_ns()}"}
    seen = last = ""
    with alice.streaming("Hi", "custom", model, headers=headers) as live:
        while seen != "一 👍🏽 ":
            event = live.next("message")
            seen, last = seen + event.data["content"], event.id
    if repeats == "at once":
        threading.Timer(0.3, model.release).start()
    else:
        model.release()
        model.requests[0].wait_for_end()

    rest = alice.stream("Hi", "custom", model, headers=headers | {"Last-Event-ID": last})
    again = alice.stream("Hi", "custom", model, headers=headers)

    assert rest.names[0] == "session"
    assert seen + rest.text == again.text == "一 👍🏽 three"
    assert rest.done == again.done
    assert len(model.requests) == 1
    assert len(alice.messages(again.session["sessionId"])) == 2
