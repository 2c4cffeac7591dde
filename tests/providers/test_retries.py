"""Asking again: only what may pass, only before the first word, and not for long."""

import json

import pytest

from providers import retries
from providers.adapters.openai import OpenAIAdapter
from providers.base import ChatMessage, ChatRequest
from providers.errors import (
    AddressRefused,
    AnswerTooLarge,
    EmptyAnswer,
    InvalidCredentials,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)

from .reading import over_http
from .wire_server import plain, replay, serving

QUESTION = ChatRequest("m", (ChatMessage("user", "Hi"),))
HI = [b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)


def after(*failures, then=None):
    """Return an answer that fails in these ways, one request after the other, and then is well."""
    left = list(failures)

    async def answer(wire):
        await (left.pop(0) if left else then or replay(HI))(wire)

    return answer


async def ask(answer):
    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), QUESTION)
    return got, len(server.requests)


@pytest.mark.parametrize("status", [429, 503, 529])
async def test_a_fault_that_passes_is_not_noticed(status):
    got, requests = await ask(after(plain(status, b"{}"), plain(status, b"{}")))

    assert (got.text, got.finish, requests) == ("Hi", "stop", 3)


async def test_it_is_tried_three_times_in_all():
    got, requests = await ask(after(then=plain(503, b"{}")))

    assert (type(got.error), requests) == (ProviderOverloaded, 3)


async def test_the_provider_says_how_long_to_wait():
    got, _ = await ask(after(plain(429, b"{}", {"retry-after": "0.3"})))

    assert got.text == "Hi"
    assert 0.3 <= got.seconds < 2


async def test_a_long_wait_is_the_persons_to_decide():
    got, requests = await ask(after(plain(429, b"{}", {"retry-after": "60"})))

    assert (type(got.error), requests) == (RateLimited, 1)
    assert got.error.retry_after == 60
    assert got.seconds < 3


async def test_where_the_time_left_is_shorter_than_the_wait_the_limit_is_told(set_limits):
    set_limits(total_seconds=3)

    got, requests = await ask(after(plain(429, b"{}", {"retry-after": "5"})))

    assert (type(got.error), got.error.retry_after, requests) == (RateLimited, 5, 1)
    assert got.seconds < 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, InvalidCredentials),
        (429, {"error": {"code": "insufficient_quota"}}, QuotaExceeded),
        (500, {}, ProviderFailed),
        (502, {}, ProviderFailed),
        (504, {}, ProviderTimeout),
    ],
)
async def test_what_does_not_pass_or_may_have_been_billed_is_not_tried_again(status, body, kind):
    got, requests = await ask(after(then=plain(status, json.dumps(body).encode())))

    assert (type(got.error), requests) == (kind, 1)


async def test_an_overload_told_at_the_head_of_a_stream_is_tried_again():
    busy = b'data: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'

    got, requests = await ask(after(replay([b": hello\n\n", busy])))

    assert (got.text, requests) == ("Hi", 2)


@pytest.mark.parametrize("field", ["content", "reasoning"])
async def test_after_the_first_word_nothing_is_tried_again(field):
    word = b'data: {"choices":[{"delta":{"%b":"Hal"}}]}\n\n' % field.encode()
    busy = b'data: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'

    got, requests = await ask(after(replay([word, busy])))

    assert (got.text + got.reasoning, type(got.error), requests) == ("Hal", ProviderOverloaded, 1)


async def test_a_stream_that_breaks_before_the_first_word_is_not_tried_again():
    got, requests = await ask(after(replay([b": hello\n\n"])))

    assert (type(got.error), requests) == (EmptyAnswer, 1)


async def test_a_server_that_comes_up_a_moment_later_is_reached(monkeypatch):
    tries = []

    async def refuse_once(self, request):
        tries.append(request)
        if len(tries) == 1:
            raise httpx_module.ConnectError("refused")
        return await handle(self, request)

    import httpx as httpx_module

    from providers.transport import GuardedTransport

    handle = GuardedTransport.handle_async_request
    monkeypatch.setattr(GuardedTransport, "handle_async_request", refuse_once)

    got, requests = await ask(replay(HI))

    assert (got.text, len(tries), requests) == ("Hi", 2, 1)


async def test_an_answer_that_grows_without_end_is_cut_off(set_limits):
    set_limits(answer_chars=1000)
    word = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 100)

    got, requests = await ask(replay([word] * 50))

    assert (type(got.error), requests) == (AnswerTooLarge, 1)
    assert len(got.text) == 1000


@pytest.mark.parametrize(
    "body",
    [
        [b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":"stop"}]}\n\n' % (b"x" * 300)] * 5,
        [b'{"choices":[{"message":{"content":"%b"},"finish_reason":"stop"}]}' % (b"x" * 5000)],
        [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 1001), *HI],
    ],
)
async def test_an_answer_that_we_cut_is_never_told_as_whole(body, set_limits):
    set_limits(answer_chars=1000)

    got, _ = await ask(replay(body))

    assert (len(got.text), type(got.error), got.finish) == (1000, AnswerTooLarge, None)


def test_the_pauses_grow_and_are_bounded():
    fault = ProviderOverloaded()

    first, second = (retries.pause_before_retry(fault, retries=n, elapsed=0) for n in (0, 1))

    assert first and second and first < second
    assert retries.pause_before_retry(fault, retries=2, elapsed=0) is None
    assert retries.pause_before_retry(fault, retries=0, elapsed=30) is None
    assert retries.pause_before_retry(ProviderTimeout(), retries=0, elapsed=0) is None
    assert retries.pause_before_retry(ProviderTimeout(unsent=True), retries=0, elapsed=0) is None
    refused = ProviderUnavailable(unsent=True)
    assert retries.pause_before_retry(refused, retries=0, elapsed=0) is not None
    assert retries.pause_before_retry(refused, retries=0, elapsed=retries.MAX_FAILED_CONNECT + 1) is None
    assert retries.pause_before_retry(AddressRefused(), retries=0, elapsed=0) is None


async def test_a_question_is_changed_a_few_times_at_most():
    """A server can find fault with every question anew."""

    async def answer(wire):
        known = ["temperature", "top_p", "max_tokens", "max_completion_tokens", "reasoning_effort"]
        name = next(name for name in ["stream_options", *known] if name in wire.request.json)
        said = {"error": {"message": f"Unsupported parameter: {name}"}}
        await plain(400, json.dumps(said).encode())(wire)

    request = ChatRequest("m", QUESTION.messages, 0.5, 0.9, 100, "low")
    async with serving(answer) as server:
        got = await over_http(OpenAIAdapter(None, base_url=server.url, api_key="k"), request)

    assert (type(got.error), len(server.requests)) == (ProviderRejected, 1 + retries.MAX_REPAIRS)


@pytest.mark.parametrize(
    ("repairs", "elapsed", "may"), [(0, 0.0, True), (3, 29.0, True), (4, 0.0, False), (0, 30.0, False)]
)
def test_changing_a_question_has_its_bounds(repairs, elapsed, may):
    assert retries.may_repair(repairs=repairs, elapsed=elapsed) is may
