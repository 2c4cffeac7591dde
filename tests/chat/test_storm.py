"""Everything at once, by several hands, in the same few conversations: what is left must make sense."""

import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.accounts.visitor import Visitor
from tests.chat.conftest import quick
from tests.chat.test_stream import wait_for_end
from tests.eventstream import EventReader
from tests.server import Server, User
from tests.upstream import Upstream, Wait
from tests.waiting import until

MakeServer = Callable[..., Server]
PIECES = [f"片{n} " for n in range(12)]
HANDS, DEEDS = 10, 15


@pytest.fixture(params=["sqlite", "postgres"])
def any_server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    environ = {"CHAT_RATE_LIMIT": "10000/m"}
    if request.param == "postgres":
        environ |= {"DATABASE_URL": request.getfixturevalue("postgres_url"), "WEB_CONCURRENCY": "2"}
    return make_server(**environ)


class Hand:
    """One who does whatever comes to mind, and notes what came of it."""

    def __init__(self, user: User, sessions: list[str], model: str, seed: int) -> None:
        self._user = user
        self._sessions = sessions
        self._model = model
        self._dice = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.unended = 0
        self.gathered: dict[str, str] = {}

    def work(self) -> None:
        deeds = [self._ask, self._regenerate, self._edit, self._go_on, self._stop, self._follow, self._choose]
        weights = [6, 3, 3, 3, 3, 3, 3]
        for _ in range(DEEDS):
            self._session = self._dice.choice(self._sessions)
            self._dice.choices([*deeds, self._remove], [*weights, 1])[0]()

    def _ask(self) -> None:
        key = {"Idempotency-Key": f"key-{self._dice.randrange(40)}"} if self._dice.random() < 0.3 else {}
        body = {"message": "Hi", "provider": "custom", "model": self._model, "sessionId": self._session}
        self._read("POST", "/api/chat/stream", json=body, headers=key)

    def _regenerate(self) -> None:
        self._read("POST", f"/api/chat/sessions/{self._session}/regenerate", json={})

    def _edit(self) -> None:
        if message := self._some("user"):
            self._read("POST", f"/api/chat/messages/{message}/edit", json={"message": "Ho"})

    def _go_on(self) -> None:
        if message := self._some("assistant"):
            self._read("POST", f"/api/chat/messages/{message}/continue")

    def _follow(self) -> None:
        self._read("GET", f"/api/chat/sessions/{self._session}/stream")

    def _stop(self) -> None:
        self._note(self._user.post(f"/api/chat/sessions/{self._session}/stop"))

    def _choose(self) -> None:
        if message := self._some("assistant", branches="all"):
            path = f"/api/chat/sessions/{self._session}/branch"
            self._note(self._user.put(path, json={"messageId": message}))

    def _remove(self) -> None:
        if message := self._some("user", branches="all"):
            self._note(self._user.delete(f"/api/chat/messages/{message}"))

    def _some(self, role: str, **params: Any) -> str | None:
        listed = self._user.messages(self._session, **params)
        ids = [message["id"] for message in listed if message["role"] == role]
        return self._dice.choice(ids) if ids else None

    def _read(self, method: str, path: str, **options: Any) -> None:
        """Read a stream to its end, or leave in the middle of it."""
        leaves = self._dice.random() < 0.3
        with self._user.client() as client, client.stream(method, path, **options) as response:
            self.statuses[response.status_code] += 1
            if response.status_code != 200:
                response.read()
                return
            reader, names = EventReader(), []
            for data in response.iter_raw():
                names += [event.name for event in reader.feed(data)]
                if leaves and len(names) > 3:
                    return
            self.unended += names[-1] not in ("done", "error")

    def _note(self, response: httpx.Response) -> None:
        self.statuses[response.status_code] += 1


def test_many_hands_leave_conversations_that_make_sense(any_server: Server, upstream: Upstream) -> None:
    user = quick(any_server.user(), upstream)
    model = upstream.script(*PIECES, delay=0.02)
    sessions = [str(user.stream("Hi", "custom", model).session["sessionId"]) for _ in range(3)]
    hands = [Hand(user, sessions, model, seed) for seed in range(HANDS)]

    with ThreadPoolExecutor(HANDS) as pool:
        for done in [pool.submit(hand.work) for hand in hands]:
            done.result()

    statuses = sum((hand.statuses for hand in hands), Counter())
    assert set(statuses) <= {200, 204, 404, 409, 429}, statuses
    assert statuses[200] > 20, statuses
    assert sum(hand.unended for hand in hands) == 0
    for session in sessions:
        assert_makes_sense(user, session)
        assert user.stream("And now?", sessionId=session).done["status"] == "complete"
    log = any_server.log()
    assert "Traceback" not in log and " ERROR " not in log


def test_accounts_can_be_deleted_while_they_are_used(any_server: Server, upstream: Upstream) -> None:
    admin = Visitor(any_server)
    admin.sign_in("admin", any_server.environ["ADMIN_PASSWORD"])
    model = upstream.script("one ", Wait(0.05), "two")
    statuses: Counter[int] = Counter()

    def ask_on(user: User) -> None:
        body = {"message": "Hi", "provider": "custom", "model": model}
        for number in range(200):
            answer = user.post("/api/chat/stream", json=body)
            statuses[answer.status_code] += 1
            if answer.status_code == 401:
                return
            if answer.status_code == 200 and number % 2:
                body["sessionId"] = json.loads(answer.text.partition("data: ")[2].partition("\n")[0])[
                    "sessionId"
                ]

    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            user = quick(any_server.user(), upstream)
            answered = statuses[200]
            asking = [pool.submit(ask_on, user) for _ in range(8)]
            until(lambda at=answered: statuses[200] >= at + 5)  # type: ignore[misc]
            path = f"/admin/accounts/user/{user.id}/delete/"
            assert admin.submit(path, {"post": "yes"}).status_code in (200, 302)
            for done in asking:
                done.result()

    assert set(statuses) <= {200, 401, 409, 429}, statuses
    log = any_server.log()
    assert "Traceback" not in log and " ERROR " not in log


def assert_makes_sense(user: User, session: str) -> None:
    if user.messages(session):
        wait_for_end(user, session, 20)
    everything = {message["id"]: message for message in user.messages(session, branches="all")}
    for message in everything.values():
        parent = everything[message["parentId"]] if message["parentId"] else None
        if message["role"] == "assistant":
            assert parent is not None and parent["role"] == "user"
            assert_is_an_answer(message)
        else:
            assert parent is None or parent["role"] == "assistant"
        assert parent is None or parent["id"] < message["id"]
    before = None
    for message in user.messages(session):
        assert message["parentId"] == before
        before = message["id"]


def assert_is_an_answer(message: dict[str, Any]) -> None:
    status, content = message["status"], message["content"]
    assert status in ("complete", "stopped", "interrupted"), message
    numbers = [int(piece[1:]) for piece in content.split()]
    assert content == "".join(PIECES[number] for number in numbers), message
    # A continued answer has what was written first, cut somewhere, and then all that the model says.
    for before, number in zip([-1, *numbers], numbers, strict=False):
        assert number in (0, before + 1), message
    assert status != "complete" or numbers[-1] == len(PIECES) - 1, message
