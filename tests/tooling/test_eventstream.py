import pytest

from tests.eventstream import EventReader, NotAnEventStream

STREAM = (
    ': ping\nid: a:0-0\nevent: session\ndata: {"type":"session","sessionId":"s"}\n\n'
    'id: a:0-2\nevent: message\ndata: {"type":"message","content":"你好"}\n\n: ping\n'
    'id: a:0-2.end\nevent: done\ndata: {"type":"done"}\n\n'
).encode()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_come_out_whole_however_the_bytes_are_cut(size):
    reader = EventReader()

    events = [event for i in range(0, len(STREAM), size) for event in reader.feed(STREAM[i : i + size])]
    reader.close()

    assert [event.name for event in events] == ["session", "message", "done"]
    assert events[1].data == {"type": "message", "content": "你好"}
    assert events[1].id == "a:0-2"
    assert reader.comments == ["ping", "ping"]


@pytest.mark.parametrize(
    "data",
    [
        b": ping\n\n",  # some clients take the empty line for an empty event
        b'event: done\ndata: {"type":"done"}\n\n',  # no id
        b'event: done\nid: 1\ndata: {"type":"done"}\n\n',  # not in the order that some readers look for
        b"id: 1\nevent: done\ndata: []\n\n",
        b"id: 1\nevent: done\ndata: {}\n\n",  # no type
        b'id: 1\nevent: done\ndata: {"type":"error"}\n\n',
        b'id: 1\nevent: done\ndata: {"type":"done"}\ndata: {}\n\n',
        b'id: 1\r\nevent: done\r\ndata: {"type":"done"}\r\n\r\n',
        # The end needs an id of its own.
        b'id: 1\nevent: message\ndata: {"type":"message"}\n\nid: 1\nevent: done\ndata: {"type":"done"}\n\n',
        b"retry: 5\n",
    ],
)
def test_what_the_contract_does_not_allow_is_refused(data):
    with pytest.raises(NotAnEventStream):
        EventReader().feed(data)


def test_a_stream_must_not_end_within_an_event():
    reader = EventReader()
    reader.feed(b"id: 1\nevent: done\n")

    with pytest.raises(NotAnEventStream):
        reader.close()
