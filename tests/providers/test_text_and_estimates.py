import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import ChatMessage, ChatRequest, Usage
from providers.estimates import estimate_tokens, estimate_usage, whole_usage
from providers.text import TextCleaner, clean_text, load_json

ANY_TEXT = st.text(st.one_of(st.characters(codec=None), st.sampled_from("\0\ud83d\ude00a中")), max_size=12)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("", ""),
        ("plain", "plain"),
        ("中文 😀 é", "中文 😀 é"),
        ("a\0b", "a�b"),
        ("中\0", "中�"),
        ("\ud800", "�"),
        ("a\udfffb", "a�b"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "��"),
        ("\ud83d\ud83d\ude00", "�😀"),
        ("\x01\x7f\u2028", "\x01\x7f\u2028"),
    ],
)
def test_only_what_cannot_be_stored_is_replaced(text, clean):
    assert clean_text(text) == clean


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(ANY_TEXT, max_size=6))
def test_pieces_come_out_as_the_whole_would(pieces):
    cleaner = TextCleaner()

    joined = "".join([*map(cleaner.feed, pieces), cleaner.end()])

    assert joined == clean_text("".join(pieces))
    assert "\0" not in joined
    joined.encode()
    assert not cleaner.holds


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'"\\ud800"', "\ud800"),
        (b'"\xff"', "�"),
        (b'"a\tb"', "a\tb"),
    ],
)
def test_json_is_read_also_where_it_is_not_quite_json(data, value):
    assert load_json(data) == value


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"[" * 100_000, b'{"a":' * 50_000])
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError):
        load_json(data)


@settings(max_examples=100, deadline=None)
@given(text=ANY_TEXT)
def test_any_json_string_is_read(text):
    assert clean_text(load_json(json.dumps({"t": text}).encode())["t"]) == clean_text(text)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("The quick brown fox jumps over the lazy dog. " * 10, 80, 140),
        ("敏捷的棕色狐狸跳过懒狗。" * 10, 70, 130),
        ("こんにちは世界" * 10, 40, 80),
        ("안녕하세요 세계" * 10, 40, 80),
    ],
)
def test_tokens_are_guessed_within_reason(text, low, high):
    assert low <= estimate_tokens(text) <= high


def test_an_estimate_says_that_it_is_one():
    request = ChatRequest("m", (ChatMessage("system", "a" * 40), ChatMessage("user", "b" * 40)))

    assert estimate_usage(request, "c" * 80, "d" * 40) == Usage(20, 30, 10, None, estimated=True)
    assert estimate_usage(request, "") == Usage(20, 0, 0, None, estimated=True)


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (None, Usage(10, 5, 0, None, estimated=True)),
        (Usage(7, None, None, 3), Usage(7, 5, None, 3, estimated=True)),
        (Usage(None, 9), Usage(10, 9, estimated=True)),
        (Usage(7, 0), Usage(7, 0)),
    ],
)
def test_only_what_was_not_said_is_guessed(said, whole):
    request = ChatRequest("m", (ChatMessage("user", "a" * 40),))

    assert whole_usage(said, request, "b" * 20, "") == whole
