"""What servers do that no protocol says: odd ends, odd numbers, events as large as an image."""

import base64
import json
import os
from typing import Any

import pytest

from providers.adapters.gemini import GeminiReader
from providers.adapters.ollama import OllamaReader
from providers.adapters.openai import ChatReader, parse_usage
from providers.adapters.responses import ResponsesReader
from providers.base import FinishReason, Usage
from providers.decoding import EventBody, LineBody
from providers.errors import AnswerTooLarge

from .reading import read

MB = 1 << 20
IMAGE = base64.b64encode(os.urandom(5 * MB)).decode()


def events(*payloads: Any) -> list[bytes]:
    return [b"data: %b\n\n" % json.dumps(payload).encode() for payload in payloads]


def pieces(body: bytes, size: int = 60_000) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


# --- Ends -------------------------------------------------------------------------------------------------


async def test_ollama_may_end_with_a_reason_and_without_done():
    body = (
        b'{"message": {"role": "assistant", "content": "Hi"}, "done": false}\n'
        b'{"message": {"role": "assistant", "content": ""}, "done_reason": "stop"}\n'
    )

    got = await read(OllamaReader, [body], LineBody)

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)


CALL = {"type": "custom_tool_call", "name": "x_keyword_search", "status": "completed"}
ANSWER = {"type": "message", "content": [{"type": "output_text", "text": "Found."}]}


@pytest.mark.parametrize(
    ("items", "finish"),
    [
        ([CALL, ANSWER], FinishReason.STOP),
        ([CALL, CALL, {"type": "reasoning"}, ANSWER], FinishReason.STOP),
        ([ANSWER, CALL], FinishReason.TOOL_CALLS),
        ([CALL], FinishReason.TOOL_CALLS),
    ],
)
async def test_calls_that_the_provider_answers_itself_are_not_the_end(items, finish):
    streamed = [{"type": "response.output_item.added", "item": item} for item in items]
    for sent in (streamed, []):
        end = {"type": "response.completed", "response": {"status": "completed", "output": items}}
        assert (await read(ResponsesReader, events(*sent, end))).finish == finish


# --- Numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, "0", None, 0.0])
async def test_the_first_answer_is_the_first_however_its_number_is_written(index):
    chunk = {"choices": [{"index": index, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    candidate = {
        "candidates": [{"index": index, "content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]
    }

    assert (await read(ChatReader, events(chunk))).text == "Hi"
    assert (await read(GeminiReader, events(candidate))).text == "Hi"


@pytest.mark.parametrize("index", [1, "1", "x"])
async def test_another_answer_is_left_out_however_its_number_is_written(index):
    chunk = {"choices": [{"index": index, "delta": {"content": "Other"}}]}
    end = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}

    assert (await read(ChatReader, events(chunk, end))).text == "Hi"


@pytest.mark.parametrize("written", [12.0, "12", "12.0", " 12 "])
def test_a_number_of_tokens_may_be_a_float_or_a_string(written):
    assert parse_usage({"prompt_tokens": written, "completion_tokens": 3}) == Usage(12, 3)


@pytest.mark.parametrize(
    "written", [float("nan"), float("inf"), "nan", "inf", "1e999", "many", "", "9" * 30, -1.0, True, [12], {}]
)
def test_what_is_no_number_of_tokens_is_none(written):
    assert parse_usage({"prompt_tokens": written, "completion_tokens": 3}) == Usage(None, 3)


# --- Events as large as an image ----------------------------------------------------------------------------

IMAGES: dict[str, tuple[type, list[Any]]] = {
    "chat": (
        ChatReader,
        [
            {"choices": [{"delta": {"content": "Look: "}}]},
            {"choices": [{"delta": {"images": [{"image_url": {"url": f"data:image/png;base64,{IMAGE}"}}]}}]},
            {"choices": [{"delta": {"content": "a cat."}, "finish_reason": "stop"}]},
        ],
    ),
    "gemini": (
        GeminiReader,
        [
            {"candidates": [{"content": {"parts": [{"text": "Look: "}]}}]},
            {
                "candidates": [
                    {
                        "content": {"parts": [{"inlineData": {"data": IMAGE}}, {"text": "a cat."}]},
                        "finishReason": "STOP",
                    }
                ]
            },
        ],
    ),
    "responses": (
        ResponsesReader,
        [
            {"type": "response.output_text.delta", "delta": "Look: a cat."},
            {
                "type": "response.completed",
                "response": {
                    "status": "completed",
                    "output": [{"type": "image_generation_call", "result": IMAGE}],
                },
            },
        ],
    ),
}


@pytest.mark.parametrize("protocol", IMAGES)
async def test_an_image_of_any_size_does_not_fail_the_text_beside_it(protocol):
    reader, payloads = IMAGES[protocol]
    body = b"".join(events(*payloads))

    for cut in (pieces(body), [body]):
        got = await read(reader, cut)

        assert (got.text, got.finish, got.error) == ("Look: a cat.", "stop", None)


async def test_an_image_in_a_document_or_in_a_line_does_not_fail_it_either():
    message = {"content": "a cat.", "images": [{"image_url": {"url": IMAGE}}]}
    document = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}, indent=1).encode()
    line = (
        b'{"message":{"content":"a "}}\n'
        + json.dumps({"image": IMAGE, "message": {"content": "cat."}}).encode()
    )

    told = await read(ChatReader, pieces(document))
    drawn = await read(OllamaReader, pieces(line + b'\n{"done":true}\n'), LineBody)

    assert (told.text, told.error) == (drawn.text, drawn.error) == ("a cat.", None)


@pytest.mark.parametrize("text", ["x" * 5 * MB, "中" * MB], ids=["letters", "escaped"])
async def test_text_that_is_too_long_is_not_left_out_in_silence(text):
    payload = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}

    got = await read(ChatReader, pieces(events(payload)[0]))

    assert isinstance(got.error, AnswerTooLarge) and got.text == ""


async def test_images_are_bounded_all_the_same():
    event = events({"choices": [{"delta": {"images": [IMAGE]}}]})[0]

    streamed = await read(ChatReader, pieces(event * 12), EventBody)
    whole = await read(ChatReader, pieces(b'{"images": [' + b",".join([b'"%b"' % IMAGE.encode()] * 12)))

    assert isinstance(streamed.error, AnswerTooLarge) and isinstance(whole.error, AnswerTooLarge)
