"""The end of a stream has an id of its own: a client that reconnects after it stops there."""

from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import pytest

from chat import events
from chat.events import EventId, Position
from tests.browser import sign_in
from tests.server import Server, User
from tests.upstream import Cut, Hold, Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

MESSAGE_ID = UUID("01a0c3c9-6f6e-7d00-8000-9d5b6f1c2a33")


def resume(user: User, session: str, last: str) -> tuple[int, bytes]:
    response = user.get(f"/api/chat/sessions/{session}/stream", headers={"Last-Event-ID": last})
    return response.status_code, response.content


# --- the form of an event ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["message", "reasoning"])
def test_an_event_with_text_has_the_same_form_both_ways(name: str) -> None:
    text = '你好\n\u2028"%d'

    by_template = events.text_form(name, MESSAGE_ID) % (3, 14, orjson.dumps(text))

    assert by_template == events.encode(name, MESSAGE_ID, Position(3, 14), {"content": text})


def test_the_event_line_and_the_data_line_are_neighbours() -> None:
    event = events.encode("message", MESSAGE_ID, Position(0, 2), {"content": "Hi"})

    assert event.endswith(b'\nevent: message\ndata: {"type":"message","content":"Hi"}\n\n')


def test_an_id_tells_a_place_from_the_end_at_that_place() -> None:
    place = f"{MESSAGE_ID}:2-5"

    assert events.parse_id(place) == EventId(MESSAGE_ID, Position(2, 5))
    assert events.parse_id(f"{place}.end") == EventId(MESSAGE_ID, Position(2, 5), ended=True)
    assert events.parse_id(f"{place}.ending") is None


# --- resuming from the end -----------------------------------------------------------------------------


def test_there_is_nothing_after_done(alice: User) -> None:
    answer = alice.stream("Hi")
    session = answer.session["sessionId"]

    assert resume(alice, session, answer[-1].id) == (204, b"")
    # The last piece of the text is not the end: its reader has yet to hear how the answer ended.
    assert alice.resume(session, answer[-2].id).names == ["session", "done"]


def test_there_is_nothing_after_an_error_nor_once_the_message_has_grown(
    alice: User, upstream: Upstream
) -> None:
    model = upstream.script("one ", Cut())
    cut = alice.stream("Hi", model=model)
    session, message = cut.session["sessionId"], cut.session["messageId"]
    assert cut.names[-1] == "error"
    assert resume(alice, session, cut[-1].id) == (204, b"")

    with alice.opened("POST", f"/api/chat/messages/{message}/continue") as live:
        grown = live.rest()

    assert grown[-1].id != cut[-1].id
    for end in (cut[-1].id, grown[-1].id):
        assert resume(alice, session, end) == (204, b"")


def test_an_end_of_one_answer_does_not_lead_into_another(alice: User, upstream: Upstream) -> None:
    answer = alice.stream("Hi")
    session = answer.session["sessionId"]
    model = upstream.script("the next ", Hold(), "one")
    with alice.streaming("And?", model=model, sessionId=session) as live:
        live.next("message")

        assert resume(alice, session, answer[-1].id) == (204, b"")

        model.release()
        assert live.rest().text == "the next one"


def test_an_end_does_not_tell_whose_conversation_it_is(alice: User, bob: User) -> None:
    answer = alice.stream("Hi")

    status, _ = resume(bob, answer.session["sessionId"], answer[-1].id)

    assert status == 404


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "one-key"}, {}], ids=["with a key", "without"])
def test_a_request_that_is_repeated_after_the_end_starts_nothing(
    alice: User, headers: dict[str, str]
) -> None:
    body = {"message": "Hi", "provider": alice.provider, "model": alice.model}
    answer = alice.stream("Hi", headers=headers)

    again = alice.post("/api/chat/stream", json=body, headers=headers | {"Last-Event-ID": answer[-1].id})

    assert (again.status_code, again.content) == (204, b"")
    assert len(alice.messages(answer.session["sessionId"])) == 2


def test_a_repeated_continuation_is_told_although_the_answer_had_ended_before(
    alice: User, upstream: Upstream
) -> None:
    cut = alice.stream("Hi", model=upstream.script("one ", Cut()))
    path = f"/api/chat/messages/{cut.session['messageId']}/continue"
    headers = {"Idempotency-Key": "go-on", "Last-Event-ID": cut[-1].id}
    with alice.opened("POST", path, headers=headers) as live:
        first = live.rest()

    with alice.opened("POST", path, headers=headers) as live:
        again = live.rest()

    assert (again.text, again[-1]) == (first.text, first[-1])
    assert alice.post(path, headers=headers | {"Last-Event-ID": first[-1].id}).status_code == 204


EVENT_SOURCE = """
([path]) => {
  window.heard = [];
  const source = new EventSource(path);
  for (const name of ["session", "message", "done"])
    source.addEventListener(name, (event) => heard.push([event.type, JSON.parse(event.data).type]));
  return new Promise((resolve) => {
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && resolve(heard));
  });
}
"""


def test_an_event_source_stops_after_the_end(page: "Page", sqlite_server: Server, upstream: Upstream) -> None:
    user = sqlite_server.user()
    user.configure("custom", baseUrl=upstream.base_url, apiKey="sk-alice-0123456789abcdef")
    sign_in(page, sqlite_server, user)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def end_it(response: "Response") -> None:
        if response.url.endswith("/stream"):
            model.release()

    model = upstream.script("one ", Hold(), "two")
    with user.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        page.on("response", end_it)

        heard = page.evaluate(EVENT_SOURCE, [f"/api/chat/sessions/{session}/stream"])

    assert heard[0] == ["session", "session"]
    assert heard[-1] == ["done", "done"]
    assert [name for name, _ in heard].count("done") == 1
    assert len([url for url in asked if url.endswith("/stream")]) == 2
