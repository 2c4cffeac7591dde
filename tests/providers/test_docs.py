"""docs/adding-a-provider.md, followed to the letter."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from providers import registry
from providers.base import ChatMessage, ChatRequest, ModelInfo, Usage
from providers.errors import BrokenStream, RateLimited
from providers.registry import PROVIDERS, ProviderAccess, adapter_for
from providers.specs import ProviderSpec

from .reading import over_http
from .wire_server import plain, replay, serving

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "adding-a-provider.md"
QUESTION = ChatRequest("grey", (ChatMessage("user", "Hello"),))


@pytest.fixture(scope="module")
def blocks():
    """The page's code blocks by the file they are for."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), re.S)
    assert len(found) == 2
    return dict(found)


@pytest.fixture
def parrot(blocks, monkeypatch):
    code: dict[str, Any] = {}
    exec(compile(blocks["providers/adapters/parrot.py"], "parrot.py", "exec"), code)  # noqa: S102
    monkeypatch.setitem(registry._ADAPTERS, "parrot", code["ParrotAdapter"])
    return ProviderSpec(id="parrot", name="Parrot", protocol="parrot", base_url="https://parrot.example")


def events(*payloads):
    return [f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads]


async def test_a_compatible_provider_is_a_few_lines_of_data(blocks, monkeypatch):
    spec = eval(blocks["providers/specs.py"], {"ProviderSpec": ProviderSpec})  # noqa: S307
    monkeypatch.setitem(PROVIDERS, spec.id, spec)
    answer = replay(events({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}))

    async with serving(answer) as server:
        got = await over_http(adapter_for(ProviderAccess(PROVIDERS["cerebras"], server.url, "k")), QUESTION)

    assert (got.text, got.finish) == ("Hi", "stop")
    assert server.requests[0].path == "/chat/completions"


async def test_a_new_protocol_is_one_file(parrot):
    answer = replay(events({"say": "Hel"}, {"what": 1}, {"say": "lo\x00"}, {"tokens": 7}, {"end": "tired"}))

    async with serving(answer) as server:
        got = await over_http(adapter_for(ProviderAccess(parrot, server.url, "secret")), QUESTION)

    assert (got.text, got.finish, got.usage) == ("Hello�", "length", Usage(None, 7))
    request = server.requests[0]
    assert (request.path, request.json["hear"]) == ("/talk", ["Hello"])
    assert request.headers["x-api-key"] == "secret"


async def test_it_inherits_what_holds_for_all(parrot):
    busy, well = plain(429, b"{}", {"retry-after": "0"}), replay(events({"say": "Hi"}, {"end": "done"}))
    answers = [busy, replay(events({"error": {"code": 429}})), well]

    async def answer(wire):
        await answers.pop(0)(wire)

    async with serving(answer) as server:
        adapter = adapter_for(ProviderAccess(parrot, server.url, "k"))
        got = await over_http(adapter, QUESTION)
        answers += [replay(events({"say": "Hal"}, {"error": {"code": 429}})), replay(events({"say": "Hal"}))]
        failed, cut = await over_http(adapter, QUESTION), await over_http(adapter, QUESTION)

    assert (got.text, got.finish) == ("Hi", "stop")
    assert (failed.text, type(failed.error)) == ("Hal", RateLimited)
    assert (cut.text, type(cut.error)) == ("Hal", BrokenStream)


async def test_its_models_are_listed(parrot):
    async with serving(plain(200, b'["grey", "green"]')) as server:
        models = await adapter_for(ProviderAccess(parrot, server.url, "k")).list_models()

    assert models == [ModelInfo("grey"), ModelInfo("green")]


def test_the_page_names_every_protocol_and_field():
    page = PAGE.read_text()

    for spec in PROVIDERS.values():
        assert f"`{spec.protocol}`" in page or spec.protocol == "demo"
    for field in ProviderSpec.__dataclass_fields__:
        assert f"`{field}`" in page or field == "name"
