"""`POST /api/chat/stream`, against a real server and a real HTTP provider."""

import json
import re
import time
import uuid
from typing import Any

import pytest

from tests.chat.raw import RawReader
from tests.server import Server, User
from tests.upstream import Cut, Hold, Reasoning, Upstream, Wait

EVENT_ID = re.compile(r"[0-9a-f-]{36}:\d+-\d+(\.end)?")


def test_events_come_in_the_order_of_the_contract(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Reasoning("Hm, "), Reasoning("yes."), "Hel", "lo, ", "世界 🌍")

    answer = alice.stream("Say hello to the world, in Chinese too", "custom", model)

    assert answer.names[0] == "session"
    assert answer.names[-1] == "done"
    assert answer.names.count("done") == 1
    assert set(answer.names) == {"session", "reasoning", "message", "done"}
    assert answer.text == "Hello, 世界 🌍"
    assert answer.reasoning == "Hm, yes."
    assert set(answer.session) == {"type", "sessionId", "messageId", "userMessageId", "title", "context"}
    assert answer.session["title"] == "Say hello to the world, in Chinese too"
    assert answer.done["messageId"] == answer.session["messageId"]
    assert answer.done["status"] == "complete"
    assert answer.done["finishReason"] == "stop"
    assert isinstance(answer.done["responseTime"], int)
    assert all(EVENT_ID.fullmatch(event.id) for event in answer)
    place = f"{answer.session['messageId']}:{len(answer.reasoning)}-{len(answer.text)}"
    assert [event.id for event in answer[-2:]] == [place, f"{place}.end"]


def test_the_stored_messages_are_what_was_streamed(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Reasoning("因为"), "答", "案 ", "\n\n", "👍🏽 end")

    answer = alice.stream("问题？", "custom", model)

    question, stored = alice.messages(answer.session["sessionId"])
    assert (question["role"], question["content"], question["id"]) == (
        "user",
        "问题？",
        answer.session["userMessageId"],
    )
    assert (stored["role"], stored["content"], stored["reasoning"]) == ("assistant", answer.text, "因为")
    assert stored["id"] == answer.session["messageId"]
    assert stored["parentId"] == question["id"]
    assert stored["status"] == "complete"
    assert stored["finishReason"] == "stop"
    assert stored["usage"] == answer.done["usage"]
    assert stored["provider"] == "custom"
    assert stored["model"] == model
    assert stored["responseTime"] >= stored["firstTokenTime"] >= 0
    assert stored["error"] is None


def test_every_piece_is_passed_on_at_once(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Wait(0.4), "two ", Wait(0.4), "three")

    with alice.streaming("Hi", "custom", model) as live:
        arrivals = [event.at for event in live if event.name == "message"]

    assert len(arrivals) == 3
    assert arrivals[1] - arrivals[0] > 0.25
    assert arrivals[2] - arrivals[1] > 0.25


def test_the_first_event_leaves_before_the_provider_has_answered(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Hold(), "late")

    with alice.streaming("Hi", "custom", model) as live:
        first = live.next()
        model.release()
        answer = live.rest()

    assert first.name == "session"
    assert answer.text == "late"


def test_response_headers_keep_proxies_from_holding_pieces_back(alice: User) -> None:
    with alice.streaming("Hi") as live:
        headers = live.response.headers
        live.rest()

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers


def test_the_model_is_sent_the_latest_messages_in_order(alice: User, upstream: Upstream) -> None:
    model = upstream.script("ok")
    session = alice.stream("message 0", "custom", model).session["sessionId"]
    for number in range(1, 13):
        alice.stream(f"message {number}", "custom", model, sessionId=session)

    sent = model.requests[-1].body["messages"]

    # Of 25 messages the oldest ten are dropped at once.
    assert [message["content"] for message in sent[::2]] == [f"message {n}" for n in range(5, 13)]
    assert sent[1::2] == [{"role": "assistant", "content": "ok"}] * 7
    assert sent[-1] == {"role": "user", "content": "message 12"}
    assert model.requests[-1].body["temperature"] == 0.7


def test_failed_answers_are_not_sent_to_the_model(alice: User, upstream: Upstream) -> None:
    good, bad = upstream.script("fine"), upstream.script("half", Cut())
    session = alice.stream("first", "custom", good).session["sessionId"]
    alice.stream("second", "custom", bad, sessionId=session)
    alice.stream("third", "custom", good, sessionId=session)

    sent = [message["content"] for message in good.requests[-1].body["messages"]]

    assert sent == ["first", "fine", "second\n\nthird"]


def test_a_new_message_moves_the_conversation_to_the_top(alice: User) -> None:
    first = alice.stream("first").session["sessionId"]
    second = alice.stream("second").session["sessionId"]
    before = alice.get("/api/chat/sessions").json()["sessions"]
    alice.stream("again", sessionId=first)

    after = alice.get("/api/chat/sessions").json()["sessions"]

    assert [session["id"] for session in before] == [second, first]
    assert [session["id"] for session in after] == [first, second]
    assert after[0]["updatedAt"] > before[1]["updatedAt"]


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("x" * 60, "x" * 50),
        ("一" * 60, "一" * 50),
        ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
        (" " * 50 + "late", "新对话"),
    ],
)
def test_the_title_is_the_beginning_of_the_message(alice: User, message: str, title: str) -> None:
    assert alice.stream(message).session["title"] == title


def test_an_answer_that_breaks_off_keeps_what_had_arrived(alice: User, upstream: Upstream) -> None:
    model = upstream.script("The first ", "half", Wait(0.1), Cut())

    answer = alice.stream("Hi", "custom", model)

    assert answer.text == "The first half"
    assert answer.names[-1] == "error"
    assert answer.error["code"] == "broken_stream"
    assert answer.error["retryable"] is True
    assert answer.error["messageId"] == answer.session["messageId"]
    stored = alice.messages(answer.session["sessionId"])[-1]
    assert (stored["content"], stored["status"]) == ("The first half", "failed")
    assert stored["error"]["code"] == "broken_stream"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "invalid_credentials", False),
        (404, "model_not_found", False),
        (429, "provider_rate_limited", True),
        (500, "provider_failed", True),
    ],
)
def test_a_providers_refusal_is_told_as_an_error_event(
    alice: User, upstream: Upstream, status: int, code: str, retryable: bool
) -> None:
    model = upstream.failing(status, "secret detail of the provider")

    answer = alice.stream("Hi", "custom", model)

    assert answer.names == ["session", "error"]
    assert (answer.error["code"], answer.error["retryable"]) == (code, retryable)
    assert "secret detail" not in answer.error["error"]


def test_a_provider_that_knows_better_is_believed_now_and_later(alice: User, upstream: Upstream) -> None:
    model = upstream.failing(503, headers={"x-should-retry": "false", "retry-after": "7"})

    answer = alice.stream("Hi", "custom", model)

    session = answer.session["sessionId"]
    later = alice.resume(session, f"{answer.session['messageId']}:0-0").error
    for told in (answer.error, later, alice.messages(session)[-1]["error"]):
        assert (told["code"], told["retryable"], told["retryAfter"]) == ("provider_overloaded", False, 7)


def test_error_events_speak_the_clients_language(alice: User, upstream: Upstream) -> None:
    model = upstream.failing(401)

    chinese = alice.stream("Hi", "custom", model)
    english = alice.stream("Hi", "custom", model, headers={"Accept-Language": "en"})

    assert re.search(r"[\u4e00-\u9fff]", chinese.error["error"])
    assert english.error["error"].isascii()


def test_refusals_of_what_was_sent_speak_the_clients_language(alice: User) -> None:
    body = {"message": "Hi", "provider": "demo", "model": "m" * 201}

    def refused(language: str) -> str:
        response = alice.post("/api/chat/stream", json=body, headers={"Accept-Language": language})
        assert response.status_code == 400
        text: str = response.json()["fields"]["model"][0]
        return text

    texts = [refused(language) for language in ("zh-hans", "en", "zh-hans")]

    assert re.search(r"[\u4e00-\u9fff]", texts[0])
    assert texts[1].isascii()
    assert texts[2] == texts[0]


def test_the_key_goes_to_the_provider_and_nowhere_else(
    alice: User, upstream: Upstream, server: Server
) -> None:
    model = upstream.script("ok")

    answer = alice.stream("Hi", "custom", model)

    assert model.requests[0].headers["authorization"] == "Bearer sk-alice-0123456789abcdef"
    assert "sk-alice" not in repr(answer)
    assert "sk-alice" not in alice.get("/api/providers/custom/config").text
    assert "sk-alice" not in server.log()


def test_a_client_that_goes_away_does_not_lose_the_answer(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Wait(0.3), "two ", Wait(0.3), "three")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        live.reset()

    model.requests[0].wait_for_end()

    stored = wait_for_end(alice, session)
    assert (stored["content"], stored["status"]) == ("one two three", "complete")


def test_a_client_gone_before_the_first_byte_still_gets_its_answer_stored(
    alice: User, upstream: Upstream
) -> None:
    model = upstream.script(Hold(), "there")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
    model.release()

    stored = wait_for_end(alice, session)

    assert (stored["content"], stored["status"]) == ("there", "complete")


def test_text_that_no_database_could_hold_is_cleaned_once(alice: User, upstream: Upstream) -> None:
    model = upstream.script("a\x00b", "c")

    answer = alice.stream("q\x00uestion", "custom", model)

    question, stored = alice.messages(answer.session["sessionId"])
    assert "\x00" not in question["content"]
    assert model.requests[0].body["messages"][-1]["content"] == question["content"]
    assert stored["content"] == answer.text
    assert stored["status"] == "complete"


def test_a_lone_surrogate_in_a_message_is_no_server_error(alice: User) -> None:
    body = b'{"message": "half \\ud83d pair", "provider": "demo", "model": "demo"}'

    with alice.opened(
        "POST", "/api/chat/stream", content=body, headers={"Content-Type": "application/json"}
    ) as live:
        answer = live.rest()

    assert answer.names[-1] == "done"
    assert alice.messages(answer.session["sessionId"])[0]["content"].startswith("half ")


def test_a_long_message_arrives_whole(alice: User, upstream: Upstream) -> None:
    model = upstream.script("ok")
    text = "长" * 31_998 + "🌍!"

    answer = alice.stream(text, "custom", model)

    assert model.requests[0].body["messages"][-1]["content"] == text
    assert alice.messages(answer.session["sessionId"])[0]["content"] == text


def refused(user: User, status: int, code: str, **body: object) -> dict[str, Any]:
    request = {"message": "Hi", "provider": "demo", "model": "demo"} | body
    request = {name: value for name, value in request.items() if value is not ...}
    before = len(user.get("/api/chat/sessions").json()["sessions"])
    response = user.post("/api/chat/stream", json=request)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert len(user.get("/api/chat/sessions").json()["sessions"]) == before
    return dict(response.json())


def test_bad_input_is_refused_before_any_event(alice: User) -> None:
    assert "message" in refused(alice, 400, "invalid", message="")["fields"]
    assert "message" in refused(alice, 400, "invalid", message="  \n ")["fields"]
    assert "message" in refused(alice, 400, "invalid", message=...)["fields"]
    assert "message" in refused(alice, 400, "invalid", message=["list"])["fields"]
    assert "message" in refused(alice, 400, "invalid", message="x" * 32_001)["fields"]
    assert "provider" in refused(alice, 400, "invalid", provider="p" * 51)["fields"]
    assert "model" in refused(alice, 400, "invalid", model="m" * 201)["fields"]


def test_what_is_not_there_is_refused_before_any_event(alice: User) -> None:
    refused(alice, 400, "provider_unknown", provider="nobody")
    refused(alice, 400, "mode_unknown", mode="nothing")
    refused(alice, 404, "session_not_found", sessionId=str(uuid.uuid4()))
    refused(alice, 404, "session_not_found", sessionId="not-an-id")
    assert refused(alice, 400, "provider_not_configured", provider="openai")["error"] == "未配置该供应商"


def test_malformed_and_deeply_nested_json_is_a_400(alice: User) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"message": NaN}',
    ):
        response = alice.post("/api/chat/stream", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_json"), body[:20]


def test_a_second_message_while_one_is_answered_is_refused(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Hold(), "two")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        body = {"message": "Hi?", "provider": "demo", "model": "demo", "sessionId": session}
        response = alice.post("/api/chat/stream", json=body)
        model.release()
        answer = live.rest()

    assert (response.status_code, response.json()["code"]) == (409, "answer_in_progress")
    assert answer.text == "one two"
    assert len(alice.messages(session)) == 2


def test_at_most_five_answers_run_at_once(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Hold(), "ok")
    opened = [alice.streaming("Hi", "custom", model) for _ in range(5)]
    lives = [context.__enter__() for context in opened]
    for live in lives:
        live.next("session")

    response = alice.post("/api/chat/stream", json={"message": "Hi", "provider": "demo", "model": "demo"})

    assert (response.status_code, response.json()["code"]) == (429, "too_many_running")
    assert int(response.headers["retry-after"]) >= 1
    model.release()
    for live, context in zip(lives, opened, strict=True):
        assert live.rest().text == "ok"
        context.__exit__(None, None, None)
    assert alice.stream("Hi").names[-1] == "done"


def test_a_question_may_come_without_a_length(alice: User) -> None:
    body = json.dumps({"message": "Hi 你好", "provider": alice.provider, "model": alice.model}).encode()
    pieces = (body[i : i + 7] for i in range(0, len(body), 7))
    headers = {"Content-Type": "application/json"}

    with alice.opened("POST", "/api/chat/stream", content=pieces, headers=headers) as live:
        answer = live.rest()

    assert answer.text == "a quick answer"
    assert alice.messages(answer.session["sessionId"])[0]["content"] == "Hi 你好"


def wait_for_end(user: User, session: str, seconds: float = 10, *, every: float = 0.05) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # The newest alone: after a megabyte of text the others would fill a page of their own.
        [message] = user.messages(session, order="desc", limit=1)
        if message["status"] != "streaming":
            return message
        time.sleep(every)
    raise AssertionError("the answer did not end")


def test_two_questions_sent_at_once_on_one_connection_are_answered_one_after_the_other(
    alice: User, upstream: Upstream
) -> None:
    first = upstream.script("one ", Wait(0.2), "两 ", Wait(0.2), "three")
    second = upstream.script("four ", Wait(0.1), "five")
    reader = RawReader(alice, first)
    reader.ask(alice, second)

    said = reader.read_until("event: done") + reader.read_until("event: done")

    assert re.findall(r'"content":"([^"]*)"', said) == ["one ", "两 ", "three", "four ", "five"]
    assert said.count("HTTP/1.1 200 OK") == 2
    reader.leave("fin")
