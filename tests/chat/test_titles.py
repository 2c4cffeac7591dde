"""Titles are cut between characters as a reader sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.titles import NEW_CHAT, TITLE_CHARS, title_of

WHOLE = {
    "a flag": "🇩🇪",
    "a flag of tags": "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "a family": "👨‍👩‍👧‍👦",
    "a skin tone": "👍🏽",
    "a heart on fire": "❤️‍🔥",
    "a keycap": "1️⃣",
    "a letter with its marks": "ệ",
    "a Thai syllable": "กำ",
    "a Devanagari conjunct": "क्षि",
    "a Hangul syllable in parts": "각",
    "half-width kana": "ｶﾞ",
}


@pytest.mark.parametrize("character", WHOLE.values(), ids=WHOLE.keys())
def test_a_character_is_kept_whole_or_left_out(character):
    for room in range(1, len(character) + 2):
        start = "a" * (TITLE_CHARS - room)
        kept = character if room >= len(character) else ""
        rest = "b" * (room - len(kept)) if kept else ""
        assert title_of(f"{start}{character}{'b' * 60}") == start + kept + rest


def test_of_several_flags_none_is_made_of_halves():
    assert title_of("🇩🇪" * 40) == "🇩🇪" * 25
    assert title_of("a" + "🇩🇪" * 40) == "a" + "🇩🇪" * 24


def test_plain_words_are_cut_at_fifty():
    assert title_of("x" * 50) == "x" * 50
    assert title_of("你" * 51) == "你" * 50
    assert title_of("한글" * 30) == "한글" * 25


def test_a_character_without_end_is_cut_all_the_same():
    assert title_of("a" + "\u0301" * 200) == "a" + "\u0301" * 49


def test_a_blank_message_gives_the_usual_title():
    assert title_of(" \n" * 60) == NEW_CHAT


@given(st.text(max_size=120))
def test_a_title_is_the_beginning_of_its_message(message):
    title = title_of(message)

    assert title == NEW_CHAT or (message.startswith(title) and len(title) <= TITLE_CHARS)
