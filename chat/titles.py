"""The title that a conversation gets from its first message."""

import unicodedata

TITLE_CHARS = 50
NEW_CHAT = "新对话"  # a seed text: stored as it is, whatever the language

_JOINER = "\u200d"
_VIRAMA = 9  # the combining class of the signs that join two consonants of an Indic script
_THAI_PHINTHU = "\u0e3a"  # is of that class, and joins nothing
# Skin tones, tags, half-width Japanese marks, the AM of Thai and Lao: no marks to Unicode, but used as marks.
_EXTENDING = (range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080), range(0xFF9E, 0xFFA0), (0x0E33, 0x0EB3))
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_HANGUL_LEADS = range(0x1100, 0x1160)
_HANGUL_REST = range(0x1160, 0x1200)
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)


def title_of(message: str) -> str:
    """Return the beginning of a message, cut between two characters as a reader sees them."""
    title = beginning(message, TITLE_CHARS)
    return title if title.strip() else NEW_CHAT


def beginning(text: str, most: int) -> str:
    """Return at most `most` code points, and no part of a flag, an emoji or a letter with its marks.

    A first character that alone is longer is cut: nothing at all would be worse.
    """
    if len(text) <= most:
        return text
    end = most
    while end and _belongs_together(text, end):
        end -= 1
    return text[: end or most]


def _belongs_together(text: str, place: int) -> bool:
    """Tell whether the code points before and at `place` are parts of one character."""
    before, after = text[place - 1], text[place]
    code, earlier = ord(after), ord(before)
    if code in _FLAG_LETTERS and earlier in _FLAG_LETTERS:
        return _flag_letters_before(text, place) % 2 == 1
    return _extends(after) or _is_joined(text, place) or _is_one_syllable(earlier, code)


def _extends(character: str) -> bool:
    """Tell whether a code point changes the one before it, whatever that is."""
    code = ord(character)
    is_mark = unicodedata.category(character).startswith("M") or character == _JOINER
    return is_mark or any(code in some for some in _EXTENDING)


def _flag_letters_before(text: str, place: int) -> int:
    """Count the flag letters that stand directly before `place`: each two of them are a flag."""
    start = place
    while start and ord(text[start - 1]) in _FLAG_LETTERS:
        start -= 1
    return place - start


def _is_joined(text: str, place: int) -> bool:
    """Tell whether a joiner connects two emoji here, or a sign for that two Indic consonants."""
    before, kind = text[place - 1], unicodedata.category(text[place])
    if before == _JOINER and kind == "So":
        return True
    if before == _JOINER and place > 1:
        before = text[place - 2]
    return kind == "Lo" and unicodedata.combining(before) == _VIRAMA and before != _THAI_PHINTHU


def _is_one_syllable(earlier: int, code: int) -> bool:
    """Tell whether two letters of Hangul are parts of one syllable."""
    if code in _HANGUL_REST:
        return earlier in _HANGUL_LEADS or earlier in _HANGUL_REST or earlier in _HANGUL_SYLLABLES
    return earlier in _HANGUL_LEADS and (code in _HANGUL_LEADS or code in _HANGUL_SYLLABLES)
