"""Stop, resume, repeat and delete while an answer runs, in whichever process."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.accounts.visitor import Visitor
from tests.real_model import RealModel
from tests.server import Server, User
from tests.upstream import Hold, Raw, Reasoning, Upstream, Wait


def stopped(user: User, session: str) -> bool:
    response = user.post(f"/api/chat/sessions/{session}/stop")
    assert response.status_code == 200, response.text
    return bool(response.json()["stopped"])


def test_stop_keeps_what_had_arrived_and_closes_the_connection(alice: User, upstream: Upstream) -> None:
    model = upstream.script("kept ", Hold(), "never")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        asked = time.monotonic()

        assert stopped(alice, session)

        answer = live.rest()
    assert model.requests[0].wait_for_hang_up() - asked < 1
    assert answer.done["status"] == "stopped"
    stored = alice.messages(session)[-1]
    assert (stored["content"], stored["status"]) == ("kept ", "stopped")
    assert stored["usage"]["estimated"] is True
    assert not stopped(alice, session)


def test_stop_keeps_the_usage_that_was_known(alice: User, upstream: Upstream) -> None:
    known = (
        b'data: {"choices":[],"usage":{"prompt_tokens":1234,"prompt_tokens_details":{"cached_tokens":7}}}\n\n'
    )
    model = upstream.script(Raw(known), "kept ", Hold(), "never")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")

        assert stopped(alice, session)

        done = live.rest().done
    assert (done["status"], done["usage"]["inputTokens"], done["usage"]["cachedTokens"]) == (
        "stopped",
        1234,
        7,
    )
    assert done["usage"]["outputTokens"] > 0
    assert done["usage"]["estimated"] is True


def test_an_answer_without_a_word_has_an_estimate_of_what_was_asked(alice: User, upstream: Upstream) -> None:
    model = upstream.script()
    with alice.streaming("What do you say to this?", "custom", model) as live:
        done = live.rest().done

    assert done["status"] == "complete"
    assert done["usage"]["inputTokens"] > 0
    assert (done["usage"]["outputTokens"], done["usage"]["estimated"]) == (0, True)


def test_stop_works_before_the_first_word(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Hold(), "never")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        model.wait_for_request()

        assert stopped(alice, session)

        assert live.rest().names == ["session", "done"]
    model.requests[0].wait_for_hang_up(1)
    message = alice.messages(session)[-1]
    assert message["status"] == "stopped"
    assert (message["usage"]["outputTokens"], message["usage"]["estimated"]) == (0, True)


def test_stop_is_heard_in_whichever_process_the_answer_runs(bob: User, upstream: Upstream) -> None:
    model = upstream.script(Hold(), "never")
    with ExitStack() as stack, ThreadPoolExecutor(5) as pool:
        lives = [stack.enter_context(bob.streaming(f"{n}", "custom", model)) for n in range(5)]
        sessions = [live.next("session").data["sessionId"] for live in lives]
        model.wait_for_request(5)
        asked = time.monotonic()

        # Five answers and five requests: they hardly all meet in one process.
        assert all(pool.map(lambda session: stopped(bob, session), sessions))

        late = [request.wait_for_hang_up() - asked for request in model.requests]
        assert all(live.rest().done["status"] == "stopped" for live in lives)
    # How soon is told where there is only one; these five and their five requests are on each other's way.
    assert max(late) < 8


def test_a_reader_can_come_back_and_misses_nothing(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Reasoning("想"), "一 ", "two ", Hold(), "три ", "🌍")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        seen = ""
        last = ""
        while seen != "一 two ":
            event = live.next("message")
            seen, last = seen + event.data["content"], event.id
    threading.Timer(0.5, model.release).start()

    rest = alice.resume(session, last)
    whole = alice.messages(session)[-1]

    assert rest.names[0] == "session"
    assert seen + rest.text == whole["content"] == "一 two три 🌍"
    assert rest.reasoning == ""
    assert rest.done["status"] == "complete"


def test_a_reader_without_a_position_gets_the_answer_from_its_start(alice: User, upstream: Upstream) -> None:
    model = upstream.script(Reasoning("hm"), "one ", Hold(), "two")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
    with ExitStack() as stack:
        path = f"/api/chat/sessions/{session}/stream"
        lives = [stack.enter_context(alice.opened("GET", path)) for _ in range(4)]
        for live in lives:
            live.next("session")
        model.release()

        answers = [live.rest() for live in lives]

    assert [(answer.text, answer.reasoning) for answer in answers] == [("one two", "hm")] * 4


def test_an_answer_that_ended_meanwhile_is_told_to_its_end(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", "two ", "three")
    answer = alice.stream("Hi", "custom", model)
    session = answer.session["sessionId"]
    message = answer.session["messageId"]

    rest = alice.resume(session, f"{message}:0-4")

    assert rest.text == "two three"
    assert rest.done == answer.done
    assert alice.get(f"/api/chat/sessions/{session}/stream").status_code == 204


def test_deleting_a_conversation_stops_its_answer(alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Hold(), "never")
    with alice.streaming("Hi", "custom", model) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")

        assert alice.delete(f"/api/chat/sessions/{session}").status_code == 200

        end = live.rest()
    assert end.names[-1] == "error"
    assert end.error["code"] == "message_deleted"
    model.requests[0].wait_for_hang_up(2)
    assert alice.get(f"/api/chat/sessions/{session}").status_code == 404


def test_deleting_a_user_ends_their_answers(server: Server, alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Hold(), "never")
    before = len(server.log())
    with alice.streaming("Hi", "custom", model) as live:
        live.next("message")
        administrator = Visitor(server)
        administrator.sign_in("admin", server.environ["ADMIN_PASSWORD"])
        administrator.submit(f"/admin/accounts/user/{alice.id}/delete/", {"post": "yes"})

        end = live.rest()
    # Whichever is heard first.
    assert end.error["code"] in {"signed_out", "message_deleted"}
    model.requests[0].wait_for_hang_up(3)
    assert alice.get("/api/chat/sessions").status_code == 401
    assert "ERROR" not in server.log()[before:]


def test_one_key_makes_one_message_and_one_call(alice: User, upstream: Upstream) -> None:
    model = upstream.script("the ", Wait(0.3), "same ", Wait(0.3), "answer")
    headers = {"Idempotency-Key": "retry:1"}

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: alice.stream("Hi", "custom", model, headers=headers), range(50)))

    assert {answer.text for answer in answers} == {"the same answer"}
    assert len({answer.session["messageId"] for answer in answers}) == 1
    assert len(model.requests) == 1
    assert len(alice.messages(answers[0].session["sessionId"])) == 2
    assert len(alice.get("/api/chat/sessions").json()["sessions"]) == 1
    assert alice.stream("Hi", "custom", model, headers=headers).text == "the same answer"


def test_one_key_for_another_request_is_a_conflict(alice: User, bob: User) -> None:
    headers = {"Idempotency-Key": "k" * 128}
    alice.stream("Hi", headers=headers)

    body = {"message": "Something else", "provider": "demo", "model": "demo"}
    response = alice.post("/api/chat/stream", json=body, headers=headers)

    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")
    assert bob.stream("Hi", headers=headers).names[-1] == "done"


@pytest.mark.parametrize("key", ["x" * 129, "no spaces", "é"])
def test_a_malformed_key_is_refused(alice: User, key: str) -> None:
    body = {"message": "Hi", "provider": "demo", "model": "demo"}

    response = alice.post("/api/chat/stream", json=body, headers={"Idempotency-Key": key.encode()})

    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")


@pytest.mark.real_model
def test_a_real_model_stops_when_it_is_told_to(alice: User, real_model: RealModel) -> None:
    alice.configure("custom", baseUrl=real_model.base_url, apiKey="")
    with alice.streaming("Tell a long story about the sea.", "custom", real_model.name) as live:
        session = live.next("session").data["sessionId"]
        live.next("message")
        real_model.wait_until_busy()

        assert stopped(alice, session)
        idle_after = real_model.wait_until_idle()

        assert live.rest().done["status"] == "stopped"
    assert idle_after < 1
    assert alice.messages(session)[-1]["content"]


@pytest.mark.real_model
def test_a_real_model_is_heard_word_by_word(alice: User, real_model: RealModel) -> None:
    message = "What is the capital of France? 你好，请介绍一下你自己。"
    alice.configure("custom", baseUrl=real_model.base_url, apiKey="")

    answer = alice.stream(message, "custom", real_model.name)

    assert answer.names.count("message") > 3
    assert answer.done["usage"]["outputTokens"] > 0
    assert alice.messages(answer.session["sessionId"])[-1]["content"] == answer.text


def test_deletions_and_messages_at_once_are_answered_in_order(alice: User) -> None:
    body = {"message": "Hi", "provider": alice.provider, "model": alice.model}

    def ask(session: str, method: str) -> int:
        with alice.client() as client:
            if method == "DELETE":
                return client.delete(f"/api/chat/sessions/{session}").status_code
            return client.post("/api/chat/stream", json=body | {"sessionId": session}).status_code

    seen: set[int] = set()
    for _ in range(12):
        session = alice.stream("Hi").session["sessionId"]
        with ThreadPoolExecutor(3) as pool:
            seen |= set(pool.map(lambda method, at=session: ask(at, method), ["POST", "DELETE", "POST"]))

    assert seen <= {200, 404, 409}


def test_branches_chosen_at_once_leave_one_chosen(alice: User) -> None:
    first = alice.stream("one").session
    session = first["sessionId"]
    with alice.opened("POST", f"/api/chat/sessions/{session}/regenerate", json={}) as live:
        second = live.rest().session

    def choose(message: str) -> int:
        return alice.put(f"/api/chat/sessions/{session}/branch", json={"messageId": message}).status_code

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(choose, [first["messageId"], second["messageId"]] * 20))

    assert seen == {200}
    shown = alice.messages(session)
    assert len(shown) == 2
    assert shown[1]["id"] in {first["messageId"], second["messageId"]}


def test_numbers_from_a_provider_cannot_break_the_end_of_a_stream(alice: User, upstream: Upstream) -> None:
    for number in ("9" * 30, "9" * 4200, "-1", "NaN", "1e400", "true", '"7"'):
        raw = f'data: {{"choices":[],"usage":{{"prompt_tokens":{number},"completion_tokens":1}}}}\n\n'
        model = upstream.script("ok", Raw(raw.encode()))

        answer = alice.stream("Hi", "custom", model)

        assert answer.names[-1] in {"done", "error"}, number
        assert alice.messages(answer.session["sessionId"])[-1]["content"] == "ok"


def test_a_deactivated_users_answers_end(server: Server, alice: User, upstream: Upstream) -> None:
    model = upstream.script("one ", Hold(), "two")
    with alice.streaming("Hi", "custom", model) as live:
        live.next("message")
        administrator = Visitor(server)
        administrator.sign_in("admin", server.environ["ADMIN_PASSWORD"])
        administrator.change_user(alice.id, is_active=None)

        # Whichever is heard first: that they may read no more, or that the answer has ended.
        end = live.rest()[-1].data
        assert end.get("code") == "signed_out" or end["status"] == "stopped"
    model.requests[0].wait_for_hang_up(3)
