"""Streams end with the sign-in that opened them; the answer goes on."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.accounts.visitor import Visitor
from tests.chat.conftest import quick
from tests.chat.test_stream import wait_for_end
from tests.server import LiveStream, Server, User
from tests.upstream import Hold, Script, Upstream

NEW = "an entirely new one"


class Following:
    """An answer that goes on until it is released, and several sign-ins of one person who read it."""

    def __init__(self, server: Server, upstream: Upstream, stack: ExitStack) -> None:
        self.user = quick(server.user(), upstream)
        self.model: Script = upstream.script("one ", Hold(), "two")
        self.stack = stack
        self.first = stack.enter_context(self.user.streaming("Hi", model=self.model))
        self.session = self.first.next("session").data["sessionId"]
        self.first.next("message")
        self.visitor = Visitor(server)
        self.visitor.sign_in(self.user.username, self.user.password)

    def read_by(self, user: User) -> LiveStream:
        live = self.stack.enter_context(user.opened("GET", f"/api/chat/sessions/{self.session}/stream"))
        live.next("message")
        return live

    def read_by_cookie(self) -> LiveStream:
        response = self.stack.enter_context(
            self.visitor.http.stream("GET", f"/api/chat/sessions/{self.session}/stream")
        )
        live = LiveStream(response)
        live.next("message")
        return live

    def goes_on(self, *streams: LiveStream) -> None:
        self.model.release()
        for live in streams:
            assert live.rest().text == "one two"
            assert live.seen.names[-1] == "done"


@pytest.fixture
def following(server: Server, upstream: Upstream) -> Iterator[Following]:
    with ExitStack() as stack:
        yield Following(server, upstream, stack)


@contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 3  # a second, and the time that a busy machine takes


def ends_signed_out(live: LiveStream) -> None:
    event = live.rest()[-1]
    assert (event.name, event.data["code"], event.data["retryable"]) == ("error", "signed_out", False)
    assert event.data["messageId"] == live.seen[0].data["messageId"]


def test_a_new_password_ends_the_streams_of_all_other_sign_ins(server: Server, following: Following) -> None:
    user = following.user
    elsewhere = server.login(user.username, user.password)
    others = [following.read_by(elsewhere), following.read_by(elsewhere), following.read_by_cookie()]

    with soon():
        body = {"current": user.password, "new": NEW}
        changed = user.post("/api/auth/password", json=body)
        for live in others:
            ends_signed_out(live)

    user.access = changed.json()["access"]
    following.goes_on(following.first, following.read_by(user))
    assert wait_for_end(user, following.session)["content"] == "one two"


def test_signing_out_everywhere_leaves_the_streams_of_the_browser_that_asks(following: Following) -> None:
    here = following.read_by_cookie()

    with soon():
        assert following.visitor.api("POST", "/settings/sign-out-everywhere").status_code == 302
        ends_signed_out(following.first)

    following.goes_on(here)


def test_the_password_page_leaves_the_streams_of_its_browser(following: Following) -> None:
    here = following.read_by_cookie()

    with soon():
        fields = {"old_password": following.user.password, "new_password1": NEW, "new_password2": NEW}
        assert following.visitor.submit("/accounts/password", fields).status_code == 302
        ends_signed_out(following.first)

    following.goes_on(here)


def test_a_reader_who_signs_in_again_goes_on_where_they_were(server: Server, following: Following) -> None:
    user = following.user
    elsewhere = server.login(user.username, user.password)
    other = following.read_by(elsewhere)
    changed = user.post("/api/auth/password", json={"current": user.password, "new": NEW})
    ends_signed_out(other)
    last = [event.id for event in other.seen if event.id][-1]

    user.access = changed.json()["access"]
    following.model.release()

    assert user.resume(following.session, last).text == "two"
    following.goes_on(following.first)
