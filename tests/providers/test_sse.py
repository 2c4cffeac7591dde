import base64
import json
import random

import pytest

from providers.sse import Decoder, Event, TooLong

from .recordings import WIRE, cuts

CASES = json.loads((WIRE / "sse-conformance" / "cases.json").read_text())["cases"]


def read(pieces):
    decoder = Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events, decoder.end(), decoder


def seen(events):
    return [{"event": e.name, "data": e.data.decode("utf-8", "replace"), "id": e.id} for e in events]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_reads_as_the_standard_says_however_the_bytes_are_cut(case):
    body = base64.b64decode(case["bytes"])
    ways = list(cuts(body, seed=1)) + list(cuts(body, seed=2))
    if "chunks" in case:
        ways.append(("as the case has it", [base64.b64decode(piece) for piece in case["chunks"]]))

    for way, pieces in ways:
        events, left, decoder = read(pieces)

        assert seen(events) == case["expected"], way
        assert (left.data.decode() if left else None) == case.get("pending_at_eof"), way
        if "retry" in case:
            assert decoder.retry == case["retry"], way


def test_the_quick_way_and_the_thorough_way_agree():
    rng = random.Random(7)
    lines = [
        b"data: {}",
        b"data: a\xc3\xa9",
        b"data:x",
        b"event: e",
        b"id: 1",
        b": c",
        b"data",
        b"",
        b"",
        b"y",
    ]
    for _ in range(300):
        body = b"\n".join(rng.choices(lines, k=12)) + b"\n\n"

        whole, left, _ = read([body])
        by_byte, left_by_byte, _ = read([body[i : i + 1] for i in range(len(body))])

        assert (whole, left) == (by_byte, left_by_byte), body


def test_an_event_open_at_the_end_is_told_apart():
    events, left, _ = read([b"data: 1\n\ndata: 2"])

    assert [event.data for event in events] == [b"1"]
    assert left == Event(b"2")


def test_what_is_no_field_is_kept_aside():
    _, _, decoder = read([b'data: 1\n\n{\n  "error": {\n', b'    "code": 499\n  }\n}\n'])

    assert json.loads(decoder.stray) == {"error": {"code": 499}}


@pytest.mark.parametrize(
    "flood",
    [
        [b"x" * 100] * 20,
        [b"data: " + b"x" * 100] + [b"y" * 100] * 20,
        [b"data: xxxxxxxxxx\n"] * 200,
        [b"data:\n"] * 2000,
        [b"data: " + b"x" * 2000 + b"\n\n"],
        [b"event: " + b"x" * 2000 + b"\n"],
    ],
)
def test_what_never_ends_is_cut_off(flood):
    decoder = Decoder(max_bytes=1000)

    with pytest.raises(TooLong):
        for piece in flood:
            decoder.feed(piece)


def test_lines_that_are_no_field_do_not_pile_up():
    decoder = Decoder(max_bytes=1000)
    for _ in range(10_000):
        decoder.feed(b"nonsense " * 20 + b"\n\n")

    assert len(decoder.stray) < 100_000
