"""Answers without a word: each says why, in the stream, in the API, on the page and in the admin."""

import json
from typing import Any

import pytest
from django.utils import translation

from chat import notices
from chat.notices import notice_of
from providers.base import FinishReason, Output
from providers.served import another, is_fit
from tests.accounts.visitor import Visitor
from tests.server import Server, User
from tests.upstream import Raw, Reasoning, Step, Upstream


def chunk(finish: str | None = None, **delta: Any) -> Raw:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return Raw(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode())


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CASES: dict[str, tuple[list[Step], str]] = {
    "nothing": ([], "empty"),
    "white space": ([" \n"], "empty"),
    "thoughts": ([Reasoning("Hm.")], "reasoning_only"),
    "thoughts in tags": (["<think>Hm.</think>"], "reasoning_only"),
    "an image": ([chunk(images=[IMAGE])], "image"),
    "a sound": ([chunk(audio={"data": "AAAA"})], "audio"),
    "a tool call": ([chunk("tool_calls", tool_calls=[{"index": 0, "function": {"name": "f"}}])], "tool_call"),
    "refused": ([chunk("refusal")], "refusal"),
    "filtered": ([chunk("content_filter")], "content_filter"),
    "too long": ([Reasoning("Hm."), chunk("length")], "length"),
    "something else": ([chunk("paused")], "other"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_without_a_word_says_why(
    server: Server, alice: User, upstream: Upstream, case: str
) -> None:
    steps, notice = CASES[case]
    finish = None if case in ("a tool call", "refused", "filtered", "too long", "something else") else "stop"
    model = upstream.script(*steps, finish=finish)

    answer = alice.stream("Hi", provider="custom", model=model)

    assert (answer.done["status"], answer.done["notice"]) == ("complete", notice)
    message = alice.messages(answer.session["sessionId"])[-1]
    assert (message["notice"], message["content"].strip()) == (notice, "")


def test_an_answer_with_a_word_has_no_notice(alice: User) -> None:
    answer = alice.stream("Hi")

    assert "notice" not in answer.done
    assert alice.messages(answer.session["sessionId"])[-1]["notice"] is None


@pytest.mark.parametrize("sent", [[], [chunk(role="assistant", content="")], [Raw(b": ping\n\n")]])
def test_an_empty_stream_without_an_end_is_a_fault(alice: User, upstream: Upstream, sent: list[Step]) -> None:
    model = upstream.script(*sent, finish=None, done_marker=False)

    answer = alice.stream("Hi", provider="custom", model=model)

    assert (answer.error["code"], answer.error["retryable"]) == ("empty_answer", True)


def test_the_page_and_the_admin_say_it_without_scripts(
    server: Server, alice: User, upstream: Upstream
) -> None:
    model = upstream.script(Reasoning("Hm."))
    session = alice.stream("Hi", provider="custom", model=model).session["sessionId"]
    owner, administrator = Visitor(server), Visitor(server)
    owner.sign_in(alice.username, alice.password)
    administrator.sign_in("admin", server.environ["ADMIN_PASSWORD"])

    page = owner.get(f"/c/{session}", headers={"Accept-Language": "en"}).text
    transcript = administrator.get(
        f"/admin/chat/chatsession/{session}/change/", headers={"Accept-Language": "en"}
    ).text

    with translation.override("en"):
        sentence = str(notices.TEXTS["reasoning_only"])
    assert sentence in page and "data-regenerate" in page
    assert sentence in transcript and "<code>reasoning_only</code>" in transcript


def test_every_notice_has_a_sentence_of_its_own_in_both_languages() -> None:
    said = []
    for language in ("en", "zh-hans"):
        with translation.override(language):
            said += [str(text) for text in notices.TEXTS.values()]
    assert len(set(said)) == 2 * len(notices.TEXTS)


@pytest.mark.parametrize(
    ("content", "reasoning", "finish", "beside", "notice"),
    [
        ("Hi", "", FinishReason.REFUSAL, set(), ""),
        ("", "", FinishReason.STOP, {Output.TOOL_CALL, Output.IMAGE}, "image"),
        ("", "Hm.", FinishReason.STOP, {Output.TOOL_CALL}, "tool_call"),
        ("", "", FinishReason.TOOL_CALLS, set(), "tool_call"),
        ("", "Hm.", FinishReason.OTHER, set(), "reasoning_only"),
    ],
)
def test_the_notice_is_the_nearest_reason(
    content: str, reasoning: str, finish: str, beside: set[Output], notice: str
) -> None:
    assert notice_of(content, reasoning, finish, beside) == notice


# --- Who answered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4", "gpt-4-0613"),
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4o", "openai/gpt-4o"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("mistral-large-latest", "mistral-large-2411"),
        ("models/gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("llama3", "llama3:latest"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("qwen", "/srv/models/qwen.gguf"),
        ("x/y:nitro", "x/y"),
        ("m", ""),
    ],
)
def test_a_longer_or_shorter_name_is_no_other_model(asked: str, named: str) -> None:
    assert another(asked, named) == ""


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("openrouter/auto", "anthropic/claude-sonnet-4"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("my-deployment", "gpt-4o-2024-08-06"),
        ("llama3:8b", "llama3:70b"),
        ("moonshot-v1-auto", "moonshot-v1-8k"),
        ("gemini-2.5-pro", "gemini-2.5-flash"),
    ],
)
def test_another_model_is_named(asked: str, named: str) -> None:
    assert another(asked, named) == named


OWN_KEY = "m-sk-proj-own-key-of-alice-24680"


@pytest.mark.parametrize(
    "named",
    [
        "anthropic/claude-sonnet-4",
        "claude-3-5-sonnet-v2@20241022",
        "accounts/fireworks/models/llama-v3p1-8b",
        "@cf/meta/llama-3.1-8b-instruct",
        "ft:gpt-4o-mini-2024-07-18:acme::AbC123",
        "/srv/models/qwen2.5-7b.gguf",
        "Qwen3 8B Instruct",
        "通义千问-plus",
        "m-" * 100,
    ],
)
def test_a_name_of_a_model_is_fit_to_be_kept(named: str) -> None:
    assert is_fit(named, [OWN_KEY])


@pytest.mark.parametrize(
    "named",
    [
        OWN_KEY,
        f"model-{OWN_KEY[5:20]}",
        OWN_KEY[::-1],
        "model/value-of-a-header-97531",
        "gpt-4o:sk-live-0123456789abcdef",
        "ghp_0123456789abcdefghij",
        "0af7651916cd43dd8448eb211c80319c",
        "https://root:pw@models.example.com/x",
        "<b>gpt-4o</b>",
        "gpt-4o\u202eini",
        "gpt-4o\n",
        "gpt-4о",  # the last letter is Cyrillic
        "gpt\0-4o",
        "gpt\ud800",
        "m-" * 100 + "m",
        "",
    ],
)
def test_a_name_that_may_hold_a_secret_or_is_no_models_is_not_kept(named: str) -> None:
    assert not is_fit(named, [OWN_KEY, "value-of-a-header-97531"])


def test_a_key_that_a_provider_names_as_its_model_is_neither_told_nor_stored(
    server: Server, upstream: Upstream
) -> None:
    user = server.user()
    user.put("/api/providers/custom/config", json={"baseUrl": upstream.base_url, "apiKey": OWN_KEY})
    named = Raw(b"data: %b\n\n" % json.dumps({"model": OWN_KEY, "choices": []}).encode())
    model = upstream.script(named, "Hi")

    answer = user.stream("Hi", provider="custom", model=model)

    assert answer.done["status"] == "complete"
    assert "servedModel" not in answer.done
    assert user.messages(answer.session["sessionId"])[-1]["servedModel"] is None


def test_the_model_that_answered_is_told_stored_and_shown(
    server: Server, alice: User, upstream: Upstream
) -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    model = upstream.script(body={"model": "quite-another", "choices": [choice]})
    owner, administrator = Visitor(server), Visitor(server)
    owner.sign_in(alice.username, alice.password)
    administrator.sign_in("admin", server.environ["ADMIN_PASSWORD"])

    answer = alice.stream("Hi", provider="custom", model=model)

    session = answer.session["sessionId"]
    message = alice.messages(session)[-1]
    assert answer.done["servedModel"] == message["servedModel"] == "quite-another"
    assert message["model"] == model
    english = {"headers": {"Accept-Language": "en"}}
    assert "answered by quite-another" in owner.get(f"/c/{session}", **english).text
    transcript = administrator.get(f"/admin/chat/chatsession/{session}/change/", **english).text
    assert "answered by quite-another" in transcript
