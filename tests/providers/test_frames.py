"""Texts taken out of their frame: exactly what the thorough way reads, whatever a server sends."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.adapters.anthropic import MessagesReader
from providers.adapters.openai import ChatReader
from providers.adapters.reading import Parts
from providers.adapters.responses import ResponsesReader
from providers.base import ReasoningDelta, ServedBy, TextDelta
from providers.decoding import EventBody
from providers.errors import AnswerTooLarge, ProviderError
from providers.frames import Frame, Framed, learn
from providers.sse import Decoder
from providers.text import MAX_CONTAINERS


def chat(text: bytes, pad: int = 0, model: bytes = b"m") -> bytes:
    return (
        b'data: {"id":"a","object":"chat.completion.chunk","model":"%b","choices":[{"index":0,"delta":'
        b'{"content":"%b"},"finish_reason":null}],"usage":null}\n\n' % (model, text)
    )


def obfuscated(text: bytes, pad: int = 0, model: bytes = b"m") -> bytes:
    return chat(text, model=model).replace(b"}\n\n", b',"obfuscation":"%b"}\n\n' % (b"aB3xyz0"[:pad]))


def messages(text: bytes, pad: int = 0, model: bytes = b"m") -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"%b"}%b}\n\n' % (text, b" " * pad)
    )


Event = Callable[..., bytes]
DIALECTS: dict[str, tuple[type[Framed], Event]] = {
    "chat": (ChatReader, chat),
    "chat, obfuscated": (ChatReader, obfuscated),
    "messages": (MessagesReader, messages),
}


class ThoroughBody(EventBody):
    def take(self, chunk: bytes, frame: Frame) -> None:
        return None


def outcome(reader: Any, body: EventBody, chunks: list[bytes]) -> list[Any]:
    """Return what each chunk says, what is left at the end, and how it ended."""
    parts = Parts(reader, body)
    said: list[Any] = []
    try:
        for chunk in chunks:
            if reader.done:
                break
            said.append([])
            for part in parts.feed(chunk):
                said[-1].append(part)
        else:
            said += [[part] for part in parts.end()]
    except ProviderError as exc:
        said.append((type(exc), str(exc)))
    said.append(list(reader.rest()))
    try:
        said.append(reader.finished(None))
    except ProviderError as exc:
        said.append((type(exc), str(exc)))
    return said


def read_by(reader: Any) -> list[bytes]:
    """Return what the reader is given from now on."""
    given: list[bytes] = []
    feed = reader.feed

    def noting(data: bytes) -> Any:
        given.append(data)
        return feed(data)

    reader.feed = noting
    return given


def text_of(said: list[Any]) -> str:
    parts = [part for some in said if isinstance(some, list) for part in some]
    return "".join(part.text for part in parts if isinstance(part, TextDelta | ReasoningDelta))


# --- That it is the same ----------------------------------------------------------------------------------

ANY_TEXT = st.text(
    st.one_of(st.characters(codec=None), st.sampled_from('\0\x7f\ud83d\ude00a中"\\')), max_size=8
)
WRITTEN = ANY_TEXT.map(lambda text: json.dumps(text)[1:-1].encode()) | ANY_TEXT.map(
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
)
# What stands in a text and is wrong there, or right only together with what follows.
HOSTILE = st.sampled_from(
    [
        *(b"\\", b"\\\\", b"\\\\\\", b"\\u", b"\\u00", b"41", b"\\ud83d", b"\\ude00", b"\\u007f", b"\\u0000"),
        *(b'"', b'\\"', b'","', b'"}', b"}" * 9, b"\xf0\x9f", b"\x98\x80", b"\xff", b"\x7f", b"\0", b"\t"),
        *(b"\n", b"\n\n", b"\r", b"\r\n\r\n", b"\ndata: {}", b" ", b"aB3", b"<think>", b"<", b"</think>"),
        *(b'","text":"x', b'","content":"x', b'"},"delta":{"content":"x', b'","obfuscation":"x'),
        *(b'"},"finish_reason":"stop', b'x"},"finish_reason":null}],"usage":null}\n\n'),
        b'"}}\n\nevent: content_block_delta\ndata: {',
    ]
)
OTHERS = st.sampled_from(
    [
        *(b": ping\n\n", b"\n", b"\r\n", b"id: 7\n", b"event: error\n", b"event: x\n", b"data: "),
        b"data: [DONE]\n\n",
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"x"}}],"error":null}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"x","reasoning_content":"y"}}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        b'data: {"error":{"message":"no","code":500},"choices":[]}\n\n',
        b'data: {"object":"error","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
        b'data: {"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
        b'{"error": {\n"message": "printed"}}\n',
    ]
)


def framed(make: Event) -> st.SearchStrategy[bytes]:
    text = st.one_of(WRITTEN, st.just(b" word"), st.lists(HOSTILE | WRITTEN, max_size=3).map(b"".join))
    return st.builds(make, text, st.integers(0, 4), st.sampled_from([b"m", b"m", b"m", b"word", b"x"]))


def spoilt(event: bytes, at: int, by: bytes, put: bool) -> bytes:
    """Return an event with something put into it or in the place of something, or cut out of it."""
    at %= len(event)
    return event[:at] + by + event[at + (0 if put and by else len(by) or 1) :]


@st.composite
def bodies(draw: Any, make: Event) -> list[bytes]:
    """A body in pieces: mostly texts in one frame, some of them hostile, and whatever else there may be."""
    good = st.builds(make, WRITTEN | st.just(b"word"), st.integers(0, 4))
    bad = st.builds(
        spoilt, framed(make), st.integers(0, 400), st.one_of(HOSTILE, st.just(b"")), st.booleans()
    )
    pieces = draw(st.lists(st.one_of(good, good, good, framed(make), OTHERS, bad), max_size=12))
    events = [make(b"First words", pad=3), *pieces]
    if draw(st.booleans()):
        return events
    body = b"".join(events)
    points = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[i:j] for i, j in zip([0, *points], [*points, len(body)], strict=True)]


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_read_as_the_thorough_way_reads_it(dialect, data):
    reader, make = DIALECTS[dialect]
    chunks = data.draw(bodies(make))

    assert outcome(reader(), EventBody(), chunks) == outcome(reader(), ThoroughBody(), chunks)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_events_are_the_same_however_they_are_cut(data):
    body = b"".join(data.draw(bodies(messages)))
    points = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    found = []
    for cuts in (points, [], range(len(body))):
        decoder = Decoder()
        pieces = [body[i:j] for i, j in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        events = [event for piece in pieces for event in decoder.feed(piece)]
        found.append((events, decoder.end(), decoder.stray, decoder.retry))

    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "texts",
    [
        [b"\\u00", b"41"],
        [b"\\ud83d", b"\\ude00"],
        [b"\\ud83d", b"x"],
        [b"a\\ud83d", b"", b"x"],
        [b"\xf0\x9f", b"\x98\x80"],
        [b"a\\", b"b"],
        [b"a\\\\", b"b"],
        [b"", b""],
        [b"a\x7fb", b"c"],
        [b"a\\u007f", b"c"],
        [b"\\u0000", b"a"],
        [b'a","b', b"c"],
        [b'a"', b'"b'],
        [b"a\tb", b"c"],
        [b"<think>", b"a</think>"],
        [b"a\n\ndata: ", b"b"],
    ],
)
@pytest.mark.parametrize("way", ["one by one", "together", "cut"])
def test_what_two_texts_say_they_do_not_say_together(dialect, texts, way):
    reader, make = DIALECTS[dialect]
    events = [
        make(b"First", pad=4),
        make(b" words", pad=3),
        *(make(text, pad=n) for n, text in enumerate(texts, 1)),
    ]
    rest = b"".join(events[1:])
    chunks = {
        "one by one": events,
        "together": [events[0], rest],
        "cut": [events[0], rest[:-30], rest[-30:]],
    }[way]

    assert outcome(reader(), EventBody(), chunks) == outcome(reader(), ThoroughBody(), chunks)


# --- That it is used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [100, 700, 100_000, None])
def test_texts_that_are_framed_alike_pass_the_reader_by(dialect, size):
    new_reader, make = DIALECTS[dialect]
    texts = [" word", "", "中文", ' "quoted"\n', "😀", "x" * 500] * 20
    events = [make(json.dumps(text)[1:-1].encode(), pad=n % 7 + 1) for n, text in enumerate(texts)]
    rest = b"".join(events)
    chunks = [rest[i : i + size] for i in range(0, len(rest), size)] if size else events
    reader = new_reader()
    given = read_by(reader)

    said = outcome(reader, EventBody(), [make(b"First", pad=3), *chunks])

    assert text_of(said) == "First" + "".join(texts)
    assert len(given) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_most_of_a_large_chunk_passes_the_reader_by(dialect):
    new_reader, make = DIALECTS[dialect]
    reader = new_reader()
    given = read_by(reader)
    body = make(b" word", pad=2) * 2000 + b"data: [DONE]\n\n"

    said = outcome(reader, EventBody(), [body])

    assert [part for part in said[0] if not isinstance(part, ServedBy)] == [TextDelta(" word" * 2000)]
    assert len(given) < 300


def test_a_frame_that_changes_is_learnt_anew():
    events = [chat(b" word", model=b"made at %d" % (number // 20)) for number in range(400)]
    reader = ChatReader()
    given = read_by(reader)

    assert text_of(outcome(reader, EventBody(), events)) == " word" * 400
    assert len(given) == 20


@pytest.mark.parametrize("reader", [ChatReader, MessagesReader, ResponsesReader])
def test_where_each_event_is_framed_anew_that_is_not_learnt_for_ever(reader, monkeypatch):
    learnt = []
    monkeypatch.setattr("providers.adapters.reading.learn", lambda *args: learnt.append(args))
    make = messages if reader is MessagesReader else chat

    outcome(reader(), EventBody(), [make(b" word", model=b"%d" % number) for number in range(100)])

    assert len(learnt) == (0 if reader is ResponsesReader else 8)


def test_the_padding_may_be_of_any_length():
    frame = learn(obfuscated(b"word", pad=2)[6:-2], "message", ChatReader().only_text)

    assert frame is not None
    assert frame.take(obfuscated(b"a") + obfuscated(b"b", pad=7)) == ("ab", 2)
    assert frame.take(obfuscated(b"a").replace(b'"}\n', b'!"}\n')) is None


# --- What is learnt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        '{"model":"word","choices":[{"delta":{"content":"word"}}]}',
        '{"choices":[{"delta":{"content":"word"}}],"model":"word"}',
        '{"word":"word","choices":[{"delta":{"word":1,"content":"word"}}]}',
        '{"choices":[{"delta":{"content":"x","content":"word"}}]}',
        '{"choices":[{"delta":{"content":"中"}}]}',
        '{"choices":[{"delta":{"content":"\\u4e2d"}}]}',
        '{"choices":[{"delta":{"content":"two\\nlines"}}]}',
    ],
)
def test_the_text_is_found_whatever_else_says_the_same(data):
    frame = learn(data.encode(), "message", ChatReader().only_text)
    before, _, rest = data.rpartition('"content":"')
    after = rest[rest.index('"') :]

    assert frame is not None
    assert frame.take(f'data: {before}"content":"other{after}\n\n'.encode()) == ("other", 1)
    assert frame.take(f"data: {data.replace('word', 'other')}x\n\n".encode()) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":","}}]}',
        b'{"choices":[{"delta":{"content":""}}]}',
        b'{"choices":[{"delta":{"content":"w\\u006frd"}}]}',
        b'{"choices":[{"delta":{"content":"word"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"content":"word"},"index":1}]}',
        b'{"choices":[{"delta":{"content":"word"}},{"delta":{"content":"word"}}]}',
        b'{"choices":[{"delta":{"content":"word"}}],"usage":{"prompt_tokens":1}}',
        b'{"choices":[{"delta":{"content":"word","reasoning":"x"}}]}',
        b'{"choices":[{"delta":{"content":"word"}}],"object":"error"}',
        b'{"choices":[{"delta":{"content":"word"}}],"error":{}}',
        b'{"choices":[{"delta":{"content":"word"}}],"x":"%b"}' % (b"x" * 5000),
        b'{"a":["word","word","word","word"],"choices":[{"delta":{"content":"word"}}]}',
        b'[{"choices":[{"delta":{"content":"word"}}]}]',
    ],
)
def test_what_is_not_text_alone_or_not_told_for_sure_is_no_frame(data):
    assert learn(data, "message", ChatReader().only_text) is None


def test_of_two_members_of_one_name_the_one_that_is_read_is_framed():
    data = b'{"choices":[{"delta":{"content":"word","content":"word"}}]}'
    frame = learn(data, "message", ChatReader().only_text)

    assert frame is not None
    assert frame.take(b"data: %b\n\n" % data.replace(b'"word"}', b'"other"}')) == ("other", 1)
    assert frame.take(b"data: %b\n\n" % data.replace(b'"word",', b'"other",')) is None


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("many", [False, True])
def test_what_is_near_to_a_frame_is_not_in_it(dialect, many):
    reader, make = DIALECTS[dialect]
    head, tail = make(b"word", pad=3).split(b"word")
    near = [
        head + tail[1:],
        head[:-1] + tail,
        make(b"a", pad=3).replace(b"null}]", b'"ab"}]').replace(b'"}}', b'"]}').replace(b'"}  ', b'"]  '),
        make(b"a", pad=3).replace(b"}\n\n", b"]\n\n"),
        make(b"a", pad=3).replace(b"null", b"nul1").replace(b'"index":0', b'"index":1'),
    ]
    first = [make(b"First", pad=1), make(b"word", pad=2) * 5]
    for event in near:
        last = make(b"b", pad=1)
        chunks = [*first, make(b"a") + event + last * 3] if many else [*first, event, last]

        assert outcome(reader(), EventBody(), chunks) == outcome(reader(), ThoroughBody(), chunks)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "begun",
    [b"event: error\r\n", b"data: {}\r\n", b"data: {}\r", b"\r", b"da\r\nda", b"data: " + b" " * 5000],
)
def test_what_has_begun_before_is_not_passed_over(dialect, begun):
    reader, make = DIALECTS[dialect]
    after = make(b"last")
    chunks = [make(b"First", pad=2), make(b" a"), begun, make(b" b"), b"\n" + after, b"\n", after, make(b".")]

    assert outcome(reader(), EventBody(), chunks) == outcome(reader(), ThoroughBody(), chunks)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("end", [b"\r\r", b"\r\n\r\n", b"\n\r\n"])
def test_an_event_behind_the_framed_ones_does_not_wait(dialect, end):
    reader, make = DIALECTS[dialect]
    chunks = [make(b"First", pad=2), make(b" a") + make(b" b").replace(b"\n\n", end), make(b" c")]

    said = outcome(reader(), EventBody(), chunks)

    assert said[1] == [TextDelta(" a b")]


def test_only_so_much_is_kept_of_an_event_behind_the_framed_ones():
    decoder = Decoder()
    decoder.feed(chat(b"First"))
    frame = learn(chat(b"First")[6:-2], "message", ChatReader().only_text)
    assert frame is not None

    assert decoder.take(chat(b" a") + b"data: " + b"x" * 4091, frame) is None
    assert decoder.take(chat(b" a") + b"data: " + b"x" * 4090, frame) == " a"


def test_an_event_named_error_is_no_frame():
    assert learn(chat(b"word")[6:-2], "error", ChatReader().only_text) is None


# --- What is bounded ----------------------------------------------------------------------------------------


def test_a_body_and_its_lines_have_the_same_limits(monkeypatch):
    chunks = [chat(b"First")] + [chat(b" word")] * 20
    size = 10 * len(chunks[1])

    cut = [outcome(ChatReader(), body(max_body=size), chunks) for body in (EventBody, ThoroughBody)]
    monkeypatch.setattr("providers.sse.MAX_LINES", 20)
    cut_by_lines = [outcome(ChatReader(), body(), chunks) for body in (EventBody, ThoroughBody)]

    for said in (*cut, *cut_by_lines):
        assert text_of(said) == "First" + " word" * 9 or said in cut
        assert said[-3][0] is AnswerTooLarge
    assert cut[0] == cut[1] and cut_by_lines[0] == cut_by_lines[1]


@pytest.mark.parametrize("sent", [b"x" * 900, b"x" * 2000])
def test_an_event_has_the_same_greatest_size(sent):
    chunks = [chat(b"First"), chat(sent), chat(b" last")]

    quick, thorough = (
        outcome(ChatReader(), body(max_event=1100), chunks) for body in (EventBody, ThoroughBody)
    )

    assert quick == thorough
    assert ("last" in text_of(quick)) is (len(sent) < 1000)


@pytest.mark.parametrize("count", [1000, MAX_CONTAINERS + 1])
def test_a_text_of_braces_is_judged_as_ever(count):
    chunks = [messages(b"First"), messages(b"{" * count), messages(b"last")]

    assert outcome(MessagesReader(), EventBody(), chunks) == outcome(MessagesReader(), ThoroughBody(), chunks)


def test_an_event_that_comes_drop_by_drop_is_not_looked_through_again_and_again():
    decoder = Decoder()
    for _ in range(5000):
        assert decoder.feed(b"data: x\n") == []

    assert len(decoder._held) <= 4096
    assert len(decoder.feed(b"\n")) == 1
