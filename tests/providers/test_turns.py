"""The order of messages that every chat template takes."""

from hypothesis import given
from hypothesis import strategies as st

from providers.base import ChatMessage
from providers.turns import in_turns

texts = st.sampled_from(["", " ", "\n", "a", "b\n", "你好", "👍🏽"])
messages = st.lists(st.builds(ChatMessage, st.sampled_from(["system", "user", "assistant"]), texts))


@given(messages)
def test_the_user_begins_and_roles_alternate(given_messages):
    turns = [turn for turn in in_turns(given_messages) if turn.role != "system"]

    assert [turn.role for turn in turns] == (["user", "assistant"] * len(turns))[: len(turns)]
    assert all(turn.content.strip() for turn in turns)


@given(messages)
def test_no_word_is_lost_but_those_before_the_first_of_the_users(given_messages):
    told = [message for message in given_messages if message.content.strip()]
    system = [message.content for message in told if message.role == "system"]
    others = [message for message in told if message.role != "system"]
    while others and others[0].role == "assistant":
        others.pop(0)

    turns = in_turns(given_messages)

    assert [turn.content for turn in turns if turn.role == "system"] == system
    joined = "\n\n".join(turn.content for turn in turns if turn.role != "system")
    assert joined == "\n\n".join(message.content for message in others)
    assert in_turns(turns) == turns


def test_a_joined_message_keeps_the_mark_of_each():
    marked = [ChatMessage("user", "a"), ChatMessage("user", "b", keep=True), ChatMessage("assistant", "c")]

    assert in_turns(marked) == [ChatMessage("user", "a\n\nb", keep=True), ChatMessage("assistant", "c")]
