"""A JSON array, read as it comes."""

import json

import pytest

from providers.adapters.gemini import GeminiReader
from providers.adapters.ollama import OllamaReader
from providers.arrays import MAX_ELEMENTS, Elements, TooMany
from providers.decoding import EventBody, LineBody
from providers.errors import AnswerTooLarge, BrokenStream
from providers.text import MAX_CONTAINERS

from .reading import read

ODD = [{"a": '}]"\\', "b": [[], {}]}, {"c": '\\\\"[{'}, {}, {"d": "字🌍"}]


def pieces(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("by_byte", [True, False])
def test_every_object_is_given_once_it_is_closed(indent, by_byte):
    body = json.dumps(ODD, indent=indent).encode()
    array = Elements()

    found = [element for piece in (pieces(body) if by_byte else [body]) for element in array.feed(piece)]

    assert [json.loads(element) for element in found] == ODD
    assert array.closed


def test_what_is_cut_is_not_given():
    array = Elements()

    assert array.feed(b'[{"a": 1}, {"b": [1, {"c": "x') == [b'{"a": 1}']
    assert not array.closed


def test_what_is_no_object_is_passed_over():
    array = Elements()

    found = array.feed(b' [1, "]", null, [{"inner": 1}], {"a": 1}] {"after": 1}')

    assert found == [b'[{"inner": 1}]', b'{"a": 1}']


@pytest.mark.parametrize("dear", [b"{}," * (MAX_ELEMENTS + 1), b"[" * (MAX_CONTAINERS + 1)])
def test_an_array_made_to_cost_much_is_not_read_on(dear):
    array = Elements()

    with pytest.raises(TooMany):
        array.feed(b"[" + dear + b"{")


def answered(*texts: str) -> list[dict[str, object]]:
    return [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts]


async def test_an_array_that_breaks_off_loses_only_what_did_not_come():
    body = json.dumps(answered("Hel", "lo", "!"), indent=1).encode()

    got = await read(GeminiReader, pieces(body[: body.index(b"!")]))

    assert (got.text, type(got.error)) == ("Hello", BrokenStream)


async def test_an_array_larger_than_a_document_may_be_is_cut_off():
    body = json.dumps(answered("a" * 100, "b" * 1000)).encode()

    got = await read(GeminiReader, pieces(body), lambda: EventBody(max_document=500))

    assert (got.text, type(got.error)) == ("a" * 100, AnswerTooLarge)


WHOLE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


@pytest.mark.parametrize("by_byte", [True, False])
async def test_a_document_over_several_lines_is_read_where_lines_are_expected(by_byte):
    whole, error = (json.dumps(it, indent=1).encode() for it in (WHOLE, {"error": "model 'm' not found"}))

    got = await read(OllamaReader, pieces(whole) if by_byte else [whole], LineBody)
    refused = await read(OllamaReader, pieces(error) if by_byte else [error], LineBody)

    assert (got.text, got.finish, got.error) == ("Hi", "stop", None)
    assert "not found" in refused.error.detail
