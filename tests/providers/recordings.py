"""The recorded answers in tests/data/wire, and the ways a network may hand them over."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WIRE = Path(__file__).resolve().parent.parent / "data" / "wire"


@dataclass(frozen=True)
class Recording:
    provider: str
    case: str
    api: str
    body: bytes
    sidecar: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.case}"

    @property
    def expected(self) -> dict[str, Any]:
        return self.sidecar["expected"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.sidecar.get("response_headers", {}).items()}

    @property
    def cut_short(self) -> bool:
        """Whether the last event was never ended, or something else stands after it."""
        return bool(
            self.expected.get("incomplete")
            or self.expected.get("unterminated_last_event")
            or "bare-json-error-after-sse" in self.sidecar["shows"]
        )


@cache
def recordings(*apis: str, folder: str = "recordings") -> tuple[Recording, ...]:
    found = (_load(path) for path in sorted((WIRE / folder).glob("*/*.json")))
    return tuple(recording for recording in found if recording.api in apis)


def _load(path: Path) -> Recording:
    sidecar = json.loads(path.read_text())
    body = (path.parent / sidecar["file"]).read_bytes()
    if sidecar["file"].endswith(".chunks.jsonl"):
        body = _framed(sidecar["api"], body)
    return Recording(path.parent.name, path.stem, sidecar["api"], body, sidecar)


def _framed(api: str, payloads: bytes) -> bytes:
    lines = [line for line in payloads.split(b"\n") if line.strip() not in (b"", b"[DONE]")]
    if api == "chat.completions":
        return b"".join(b"data: %b\n\n" % line for line in [*lines, b"[DONE]"])
    names = (json.loads(line)["type"].encode() for line in lines)
    return b"".join(b"event: %b\ndata: %b\n\n" % pair for pair in zip(names, lines, strict=True))


def framings(recording: Recording) -> Iterator[tuple[str, bytes]]:
    """Yield the same answer in other framings, which must make no difference."""
    body = recording.body
    yield "as recorded", body
    if recording.cut_short or recording.sidecar["file"].endswith(".json-array"):
        return
    lines = body.replace(b"\r\n", b"\n")
    if recording.api == "ollama-chat":
        yield "CRLF", lines.replace(b"\n", b"\r\n")
        yield "empty lines", lines.replace(b"\n", b"\n\n")
        yield "no last line end", lines.rstrip(b"\n")
        return
    events = [event for event in lines.split(b"\n\n") if event.strip()]
    yield "LF", lines
    yield "CRLF", lines.replace(b"\n", b"\r\n")
    yield "CR", lines.replace(b"\n", b"\r")
    yield "a byte order mark", b"\xef\xbb\xbf" + lines
    yield "no space", b"\n".join(line.replace(b": ", b":", 1) for line in lines.split(b"\n"))
    yield "comments between", b": hello\n\n" + b"\n\n: ping\n\n:\n\n".join(events) + b"\n\n"
    yield "comments inside", b"".join(b":\n" + event + b"\n\n" for event in events)
    yield "ids and retries", b"".join(b"id: %d\nretry: 10\n%b\n\n" % it for it in enumerate(events))
    yield "more empty lines", b"\n\n\n\n".join(events) + b"\n\n\n"
    yield "no line end at the end", b"\n\n".join(events)
    yield "no empty line at the end", b"\n\n".join(events) + b"\n"
    yield "no empty lines at all", b"\n".join(events) + b"\n"
    if events[-1].strip() == b"data: [DONE]":
        if recording.expected.get("finish_reason"):
            yield "no end marker", b"\n\n".join(events[:-1]) + b"\n\n"
        yield "spaces about the end marker", b"\n\n".join(events[:-1]) + b"\n\ndata:  [DONE] \n\n"


def cuts(body: bytes, *, seed: int = 0) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the body cut into network chunks, in every way that has broken a reader."""
    yield "whole", [body]
    yield "every byte", [body[i : i + 1] for i in range(len(body))]
    yield "inside characters", _cut_at(body, [i for i, byte in enumerate(body) if 0x80 <= byte < 0xC0])
    yield "after every line", body.splitlines(keepends=True)
    rng = random.Random(seed)
    for round_ in range(2):
        points = sorted(rng.sample(range(len(body)), min(len(body), 4 + len(body) // 97)))
        yield f"anywhere {round_}", _cut_at(body, points)


def _cut_at(body: bytes, points: list[int]) -> list[bytes]:
    return [body[i:j] for i, j in zip([0, *points], [*points, len(body)], strict=True) if body[i:j]]


def few_cuts(body: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the cuts that break most readers, and every byte of what is short."""
    for way, pieces in cuts(body, seed=len(body)):
        if way in ("whole", "anywhere 0", "inside characters") or len(body) < 4000:
            yield way, pieces


def deliveries(recording: Recording) -> Iterator[tuple[str, list[bytes]]]:
    """Yield every framing, in every cut where line ends make a difference and in a few elsewhere."""
    for framing, body in framings(recording):
        thorough = framing == "as recorded" or (framing in ("CRLF", "CR") and len(body) < 16_000)
        for way, pieces in cuts(body, seed=len(body)):
            if thorough or way in ("whole", "anywhere 0", "inside characters"):
                yield f"{framing}, cut {way}", pieces
