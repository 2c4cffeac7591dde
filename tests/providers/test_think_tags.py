"""Reasoning that servers leave inside the text, in all its spellings, however the text is cut."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.adapters.ollama import OllamaReader
from providers.adapters.openai import ChatReader, OpenAIAdapter
from providers.adapters.think import ends_reasoning
from providers.base import ChatMessage, ChatRequest, Output
from providers.decoding import LineBody

from .reading import Read, over_http, read
from .wire_server import replay, serving


def event(**delta: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


QUESTION = ChatRequest(model="m", messages=(ChatMessage("user", "Hi"),))


async def chat(*pieces: str, field: str = "") -> Read:
    first = [event(reasoning_content=field)] if field else []
    return await read(ChatReader, [*first, *(event(content=piece) for piece in pieces), END])


async def ollama(*pieces: str) -> Read:
    lines = [json.dumps({"message": {"content": piece}}).encode() + b"\n" for piece in pieces]
    return await read(OllamaReader, [*lines, b'{"done":true}\n'], LineBody)


# What comes, what is reasoning and what is text.
SPELLINGS = {
    "glued": ("<think>plan</think>\n\nAnswer", "plan", "Answer"),
    "thinking": ("<thinking>plan</thinking>Answer", "plan", "Answer"),
    "thought": ("<thought>\nplan\n</thought>\nAnswer", "plan", "Answer"),
    "seed": ("<seed:think>plan</seed:think>Answer", "plan", "Answer"),
    "brackets": ("[THINK]plan[/THINK]Answer", "plan", "Answer"),
    "triangles": ("◁think▷plan◁/think▷Answer", "plan", "Answer"),
    "another tag inside": ("<thinking>a </think> b</thinking>Answer", "a </think> b", "Answer"),
    "two blocks": ("<think>one</think><think> two</think>Answer", "one\n\ntwo", "Answer"),
    "two spellings": ("<think>one</think>\n\n<thought>two</thought>\nAnswer", "one\n\ntwo", "Answer"),
    "an empty block": ("<think>\n\n</think>\n\nAnswer", "", "Answer"),
    "closed twice": ("<think>plan</think>\n</think>\nAnswer", "plan", "Answer"),
    "not closed": ("<think>plan", "plan", ""),
    "closing only": ("Two and two.\n</think>\n\n4", "Two and two.", "4"),
    "closing only, glued": ("Two and two.</think>4", "Two and two.", "4"),
    "closing only, between words": ("two and two</think>four", "two and two", "four"),
    "closing only, behind a blank": ("Two and two. </think>\n\n4", "Two and two.", "4"),
    "closing only, Chinese": ("二加二。</think>四", "二加二。", "四"),
    "closing only, thinking": ("Two and two.\n</thinking>\n\n4", "Two and two.", "4"),
    "closing only, and nothing else": ("Two and two.\n</think>", "Two and two.", ""),
    "closing only, at the start": ("\n</think>\n\n4", "", "4"),
    "closing only, then a block": ("one\n</think>\n<think>two</think>4", "one\n\ntwo", "4"),
    "closing only, then quoted": ("one\n</think>\n\nUse\n</think>\nthere.", "one", "Use\n</think>\nthere."),
    "quoted": ("Use <think> like this: <think>x</think>", "", None),
    "quoted as code": ("The tag is `</think>`\nat the end.", "", None),
    "quoted in a fence": ("Write:\n```\nplan\n</think>\n4\n```\n", "", None),
    "quoted in a sentence": ("Thoughts end with </think> and then\nthe answer comes.", "", None),
    "quoted in quotes": ('Split at "</think>".', "", None),
    "quoted in a list": ("1. </think> closes it.\n2. </think>\n", "", None),
    "quoted in Chinese": ("标签</think>用于结束", "", None),
    "quoted first, then meant": ("`</think>` ends it.\n</think>\n\n4", "`</think>` ends it.", "4"),
    "another tag": ("a <b>bold</b> </thin> word", "", None),
    "a tag that is never whole": ("a </thin", "", None),
    "harmony": (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>Answer<|return|>",
        "plan",
        "Answer",
    ),
    "harmony, twice": (
        "<|start|>assistant<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>analysis"
        "<|message|>two<|end|><|start|>assistant<|channel|>final<|message|>A < b <| c",
        "one\n\ntwo",
        "A < b <| c",
    ),
    "harmony, a tool": (
        "<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>commentary to=functions.f "
        '<|constrain|>json<|message|>{"a":1}<|call|>',
        "plan",
        "",
    ),
}


@pytest.mark.parametrize("case", SPELLINGS)
@pytest.mark.parametrize("ask", [chat, ollama])
async def test_reasoning_is_told_from_the_text(case, ask):
    whole, reasoning, text = SPELLINGS[case]
    wanted = (reasoning, whole if text is None else text)
    halves = (whole[: len(whole) // 2], whole[len(whole) // 2 :])
    for cut in ([whole], halves, list(whole)):
        got = await ask(*cut)

        assert (got.reasoning, got.text) == wanted, cut


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_how_the_text_is_cut_makes_no_difference(data):
    whole, reasoning, text = data.draw(st.sampled_from(list(SPELLINGS.values())))
    points = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[i:j] for i, j in zip([0, *points], [*points, len(whole)], strict=True)]
    events = b"".join(event(content=piece) for piece in pieces) + END
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=6)))

    chunks = [events[i:j] for i, j in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    got = asyncio.run(read(ChatReader, chunks))

    assert (got.reasoning, got.text) == (reasoning, whole if text is None else text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("</think>\n\nAnswer", "Answer"),
        ("\n</think>\n\nAnswer", "Answer"),
        ("\n\nAnswer </think>\n", "\n\nAnswer </think>\n"),
        ("<think>x</think>", "<think>x</think>"),
        ("\n", "\n"),
    ],
)
async def test_behind_a_field_of_its_own_only_a_stray_closing_tag_is_none_of_the_text(text, wanted):
    for cut in ([text], list(text)):
        got = await chat(*cut, field="plan")

        assert (got.reasoning, got.text) == ("plan", wanted)


async def test_a_tool_that_is_called_in_a_channel_is_told():
    got = await chat(SPELLINGS["harmony, a tool"][0])

    assert got.parts[-1].beside == {Output.TOOL_CALL}  # type: ignore[union-attr]


async def test_a_closing_tag_is_found_behind_texts_that_pass_the_reader_by():
    sent = [event(content=f"word{number}. ") for number in range(200)]
    pieces = [
        *sent,
        event(content="\n</"),
        event(content="think"),
        event(content=">\n"),
        event(content="4"),
        END,
    ]
    async with serving(replay(pieces)) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key=""), QUESTION)

    assert got.text == "4" and got.reasoning.endswith("word199.")
    assert got.at_once > 20


async def test_only_so_many_closing_tags_are_looked_at():
    got = await chat(*["`</think>` "] * 5000)

    assert got.text == "`</think>` " * 5000 and not got.reasoning


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("plan\n", "\n\nAnswer", True),
        ("plan\n    ", "\n", False),
        ("plan", "", True),
        ("(plan)", "Answer", False),
        ("```\na\n```\nplan\n", "\n", True),
        ("~~~\na\n", "\n", False),
        ("an `a` and `b` plan", "\n", True),
        ("a **", "**", False),
    ],
)
def test_what_stands_about_a_closing_tag_tells_what_it_is(before, after, ends):
    assert ends_reasoning(before, after) is ends
