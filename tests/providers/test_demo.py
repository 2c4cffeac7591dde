import pytest

from providers.adapters import demo
from providers.adapters.demo import DemoAdapter
from providers.base import ChatMessage, ChatRequest, ModelInfo, ReasoningDelta, TextDelta
from providers.errors import ProviderOverloaded

from .reading import collect


async def ask(question, model="demo", **rest):
    request = ChatRequest(model, (ChatMessage("system", "x"), ChatMessage("user", question)), **rest)
    return await collect(DemoAdapter().stream(request))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(demo, "PIECE_SECONDS", 0)


async def test_it_answers_in_the_language_of_the_question():
    english, chinese = await ask("What is a stream?"), await ask("什么是流式输出?")

    assert "What is a stream?" in english.text and "demo model" in english.text
    assert "什么是流式输出?" in chinese.text and "演示模型" in chinese.text
    for got in (english, chinese):
        assert (got.finish, got.error, got.reasoning) == ("stop", None, "")
        assert sum(isinstance(part, TextDelta) for part in got.parts) > 60
        assert got.usage.estimated and got.usage.input_tokens > 0 and got.usage.output_tokens > 60


async def test_nothing_is_lost_between_the_pieces():
    got = await ask("a  b\n\nc")

    assert got.text == demo.answer("a  b\n\nc", turns=2)


async def test_it_comes_at_the_pace_of_a_model(monkeypatch):
    monkeypatch.undo()
    got = await ask("hi", max_output_tokens=25)

    assert 0.4 < got.seconds < 10


async def test_what_is_asked_for_with_a_slash_is_done():
    long, thought, by_model = (
        await ask("/long 30"),
        await ask("/reason why?"),
        await ask("why?", "demo-reasoning"),
    )

    assert long.text.count("\n\n") == 29
    assert "why?" in thought.reasoning and "/reason" not in thought.reasoning
    assert by_model.reasoning == thought.reasoning
    assert isinstance(by_model.parts[0], ReasoningDelta)
    assert (await ask("see http://x/fail")).error is None


async def test_it_breaks_off_in_the_middle_where_it_is_asked_to():
    got = await ask("/fail please")

    assert isinstance(got.error, ProviderOverloaded)
    assert 0 < len(got.text) < len(demo.answer("please", turns=2))
    assert got.finish is None


async def test_it_ends_where_it_has_to():
    got = await ask("hi", max_output_tokens=5)

    assert got.finish == "length"
    assert len(got.text.split()) <= 6


async def test_it_lists_its_models():
    assert await DemoAdapter().list_models() == [ModelInfo("demo"), ModelInfo("demo-reasoning")]


@pytest.mark.parametrize("directives", ["", "/reason ", "/long 3 ", "/fail "])
async def test_it_goes_on_where_its_answer_broke_off(directives):
    question = ChatMessage("user", f"{directives}What is a stream?")
    whole = demo.answer("What is a stream?", turns=1, paragraphs=3 if "long" in directives else 0)
    cut = whole[: len(whole) // 2]
    messages = (question, ChatMessage("assistant", cut), ChatMessage("user", "go on"))

    got = await collect(DemoAdapter().stream(ChatRequest("demo", messages, continues=True)))

    assert (cut + got.text, got.reasoning, got.finish) == (whole, "", "stop")
