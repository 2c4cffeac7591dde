"""How much of a conversation the model is sent: what the API tells, and the choice."""

import pytest
from django.contrib.auth import get_user_model

from chat import admission, services
from chat.history import Context
from chat.models import ChatSession, Message
from providers.models import ModelEntry
from tests.server import User
from tests.upstream import Upstream

SESSIONS = "/api/chat/sessions"


def test_each_answer_tells_how_much_was_sent(alice: User, upstream: Upstream):
    model = upstream.script("ok")
    answer = alice.stream("0", "custom", model)
    session = answer.session["sessionId"]
    first = answer.session["userMessageId"]
    assert answer.session["context"] == {"sent": 1, "omitted": 0, "firstMessageId": first}
    for number in range(1, 11):
        answer = alice.stream(str(number), "custom", model, sessionId=session)

    messages = alice.messages(session)

    assert messages[0]["context"] is None
    assert messages[19]["context"] == {"sent": 19, "omitted": 0, "firstMessageId": first}
    last = {"sent": 11, "omitted": 10, "firstMessageId": messages[10]["id"]}
    assert messages[-1]["context"] == answer.session["context"] == last
    assert len(model.requests[-1].body["messages"]) == 11
    # The next questions know the place from the answer before, and a second answer gets the same.
    again = alice.post(f"{SESSIONS}/{session}/regenerate", json={"stream": False}).json()
    assert again["context"] == last
    assert alice.resume(session, f"{again['id']}:0-0").session["context"] == last


def test_all_that_the_model_takes_can_be_sent(alice: User, upstream: Upstream):
    model = upstream.script("ok")
    session = alice.stream("0", "custom", model, context="full").session["sessionId"]
    for number in range(1, 15):
        alice.stream(str(number), "custom", model, sessionId=session)

    assert len(model.requests[-1].body["messages"]) == 29
    assert alice.messages(session)[-1]["context"]["omitted"] == 0
    assert alice.get(f"{SESSIONS}/{session}").json()["context"] == "full"

    alice.patch(f"{SESSIONS}/{session}", json={"context": "recent"})
    alice.stream("15", "custom", model, sessionId=session)
    assert len(model.requests[-1].body["messages"]) == 11


def test_the_choice_is_kept_for_the_persons_next_conversation(alice: User, bob: User):
    first = alice.post(SESSIONS, json={"provider": "demo", "context": "full"}).json()
    assert first["context"] == "full"
    assert alice.post(SESSIONS, json={"provider": "demo"}).json()["context"] == "full"
    begun = alice.stream("Hi", "demo", "demo").session["sessionId"]
    assert alice.get(f"{SESSIONS}/{begun}").json()["context"] == "full"
    assert bob.post(SESSIONS, json={"provider": "demo"}).json()["context"] == "recent"

    alice.patch(f"{SESSIONS}/{begun}", json={"context": "recent"})
    assert alice.post(SESSIONS, json={"provider": "demo"}).json()["context"] == "recent"
    assert alice.get(f"{SESSIONS}/{first['id']}").json()["context"] == "full"
    refused = alice.patch(f"{SESSIONS}/{begun}", json={"context": "everything"})
    assert set(refused.json()["fields"]) == {"context"}


# --- within the process -------------------------------------------------------------------------------


@pytest.fixture
def session(db) -> ChatSession:
    user = get_user_model().objects.create_user("ada", password="a-long-password")
    return ChatSession.objects.create(user=user, title="t", provider="demo", model="demo", context="full")


def say(session: ChatSession, count: int, text: str = "word ") -> list[Message]:
    messages: list[Message] = []
    for number in range(count):
        role = ("user", "assistant")[number % 2]
        parent = messages[-1] if messages else None
        messages.append(
            Message.objects.create(
                session=session, role=role, content=f"{number} {text * 100}", parent=parent, on_branch=True
            )
        )
    return messages


def opened(session: ChatSession, **options) -> services.Turn:
    asked = admission.Asked(session.user, lambda: None)
    turn = services.open_turn(
        asked, message="Hi", provider="demo", model="demo", mode="normal", session_id=session.pk, **options
    )
    assert isinstance(turn, services.Turn)
    return turn


def told(turn: services.Turn) -> Context:
    assert turn.opening.context is not None
    return turn.opening.context


def test_the_window_less_the_answer_bounds_what_is_sent(session):
    # Some 129 tokens each: sixty fit into 90 % of 16,000 less 4,000.
    ModelEntry.objects.create(provider="demo", model="demo", context_window=16_000, max_output_tokens=4_000)
    messages = say(session, 240)

    context = told(opened(session))

    assert context.omitted == 170
    assert context.sent == 71
    assert context.first == messages[170].id


def test_of_an_unknown_model_a_modest_window_is_taken(session):
    messages = say(session, 240, "词")

    context = told(opened(session))

    # 16,384 tokens less a tenth and a quarter, at some 80 each.
    assert context.omitted in (110, 120)
    assert context.first == messages[context.omitted].id


def test_rows_that_do_not_tell_their_place_are_counted(session):
    session.context = "recent"
    session.save()
    messages = say(session, 60)

    context = told(opened(session))

    assert context.omitted == 50
    assert context.first == messages[50].id


def test_a_cut_answer_goes_on_after_its_own_question_whatever_the_limit(session, settings):
    settings.CHAT_HISTORY_LIMIT = 1
    session.context = "recent"
    session.save()
    *_, question, answer = say(session, 4)
    answer.status, answer.provider, answer.model = "stopped", "demo", "demo"
    answer.save()

    turn = services.open_continuation(admission.Asked(session.user, lambda: None), message_id=answer.pk)

    assert isinstance(turn, services.Turn)
    assert turn.request.continues
    sent = [message.content for message in turn.request.messages if message.role != "system"]
    assert sent == [question.content, answer.content, services.CONTINUE_PROMPT]
