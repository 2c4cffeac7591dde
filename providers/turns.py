"""The order of messages that every chat template takes: the user first, then in turns."""

from collections.abc import Iterable
from dataclasses import replace

from .base import ChatMessage


def in_turns(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return the messages so that the user begins and the roles alternate.

    Blank messages and an assistant's before the first of the user's are left out; neighbours of one role are
    joined by a blank line. System messages take no part: they come first.
    """
    system: list[ChatMessage] = []
    turns: list[ChatMessage] = []
    for message in messages:
        if not message.content.strip():
            continue
        if message.role == "system":
            system.append(message)
        elif turns and turns[-1].role == message.role:
            earlier = turns[-1]
            text = f"{earlier.content}\n\n{message.content}"
            turns[-1] = replace(message, content=text, keep=earlier.keep or message.keep)
        elif turns or message.role == "user":
            turns.append(message)
    return system + turns
