"""The provider and the model that a new conversation begins with."""

from datetime import UTC, datetime, timedelta

import pytest

from chat.first_choice import first_choice
from chat.models import ChatSession
from providers.models import ProviderConfig
from providers.registry import PROVIDERS
from providers.resolve import Choice

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def choice(provider: str, *, saved: int | None = None, model: str = "", configured: bool = True) -> Choice:
    """Return a provider that can be used, with settings of one's own that are `saved` minutes old."""
    own = None
    if saved is not None:
        own = ProviderConfig(provider=provider, default_model=model, user_id=7)
        own.updated_at = NOW - timedelta(minutes=saved)
    default = model or PROVIDERS[provider].default_model
    return Choice(PROVIDERS[provider], own, default, configured=configured, shared=False, own=own)


def used(provider: str, model: str, *, minutes: int) -> ChatSession:
    return ChatSession(provider=provider, model=model, updated_at=NOW - timedelta(minutes=minutes))


DEMO = choice("demo")


@pytest.mark.parametrize(
    ("choices", "last", "expected"),
    [
        ([DEMO], None, ("demo", "demo")),
        ([choice("openai", saved=9, model="m"), DEMO], None, ("openai", "m")),
        ([choice("custom", saved=1), choice("openai", saved=9, model="m")], None, ("openai", "m")),
        ([choice("custom", saved=1), DEMO], None, ("custom", "")),
        # Settings with a default model win over a conversation that is older.
        ([choice("openai", saved=1, model="m"), DEMO], used("demo", "demo", minutes=2), ("openai", "m")),
        ([choice("openai", saved=3, model="m"), DEMO], used("demo", "demo", minutes=2), ("demo", "demo")),
        ([choice("openai", saved=1), DEMO], used("demo", "demo", minutes=2), ("demo", "demo")),
        ([choice("groq", saved=1, model="a"), choice("xai", saved=2, model="b")], None, ("groq", "a")),
        # What cannot be used is not begun with.
        (
            [choice("openai", saved=1, model="m", configured=False), DEMO],
            used("openai", "m", minutes=2),
            ("demo", "demo"),
        ),
        ([], None, ("", "")),
    ],
)
def test_the_latest_decision_that_still_works_comes_first(choices, last, expected):
    assert first_choice(choices, last) == expected
