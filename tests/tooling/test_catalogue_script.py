"""How `scripts/catalogue.py` puts two packages' facts together, and when it asks for a new catalogue."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from providers import catalogue
from providers.catalogue import Entry
from providers.registry import PROVIDERS
from providers.specs import ProviderSpec
from scripts import catalogue as script

D = Decimal
OPENAI = script.Origin("openai", "openai")


def test_the_first_package_has_windows_and_prices_and_the_second_limits_and_retirement():
    first = {"m": Entry(100_000, None, D(1), D("0.1"), D(2))}
    second = {"m": Entry(90_000, 8000, D(9), None, D(9), date(2027, 1, 1))}

    assert script.merged(OPENAI, first, second) == {
        "m": Entry(100_000, 8000, D(1), D("0.1"), D(2), date(2027, 1, 1))
    }


def test_an_alias_that_moves_is_newer_in_the_second_package():
    first, second = {"m-latest": Entry(1000, None, D(6))}, {"m-latest": Entry(2000, None, D(2))}

    assert script.merged(OPENAI, first, second)["m-latest"] == Entry(2000, None, D(2))


def test_prices_of_somebody_else_are_not_taken():
    origin = script.Origin("zhipuai", "zai", priced=False)

    assert script.merged(origin, {}, {"m": Entry(1000, 10, D(6))}) == {"m": Entry(1000, 10)}


@pytest.mark.parametrize(
    "name", ["text-embedding-3-large", "gpt-image-2", "gpt-4o-audio-preview", "Upper", "a b"]
)
def test_a_model_that_does_not_chat_is_left_out(name):
    assert script.merged(OPENAI, {name: Entry(1000)}, {}) == {}


def test_the_highest_price_of_a_day_counts():
    off_peak, peak = ["0.15", "0.003", "0.6"], ["0.3", "0.006", "1.2"]
    model = {"names": ["m"], "window": 1_000_000, "prices": [off_peak, peak]}

    assert script.from_genai([model]) == {"m": Entry(1_000_000, None, D("0.3"), D("0.006"), D("1.2"))}


def test_what_the_second_package_says_of_a_model_is_read():
    listed: dict[str, dict[str, Any]] = {
        "xai/grok": {
            "litellm_provider": "xai",
            "mode": "chat",
            "max_input_tokens": 256_000,
            "max_output_tokens": 8192,
            "input_cost_per_token": 3e-06,
            "cache_read_input_token_cost": 7.5e-07,
            "output_cost_per_token": 1.5e-05,
            "deprecation_date": "2026-05-15",
        },
        "xai/grok-image": {"litellm_provider": "xai", "mode": "image_generation"},
        "grok": {"litellm_provider": "somebody", "mode": "chat"},
        "xai/free": {"litellm_provider": "xai", "mode": "chat", "input_cost_per_token": 0},
    }

    assert script.from_litellm(listed, script.ORIGINS["xai"]) == {
        "grok": Entry(256_000, 8192, D(3), D("0.75"), D(15), date(2026, 5, 15)),
        "free": Entry(),
    }


def test_a_release_with_its_models_facts_needs_no_line():
    entries = {"gpt-5": Entry(1000), "gpt-5-2025-08-07": Entry(1000), "gpt-5-2025-01-01": Entry(2000)}

    assert script.pruned(entries) == {"gpt-5": Entry(1000), "gpt-5-2025-01-01": Entry(2000)}


def test_a_limit_as_large_as_the_window_is_none():
    assert script.plausible(Entry(1000, 1000, D(1), D(2))) == Entry(1000, None, D(1), None)


def test_what_is_written_is_read_again():
    models = {
        "a*": Entry(1000, None, D("0.05"), None, D(3), date(2027, 1, 1)),
        "b": Entry(2000, 1000),
        "c": Entry(None, None, D(1)),
    }

    text = script.written({"openai": models}, {"genai-prices": "1.0", "litellm": "2.0"}, date(2026, 11, 28))

    assert catalogue.parse(text).entries == {"openai": models}
    assert catalogue.parse(text).date == "2026-11-28"
    assert text.count("\n      ") == 3


@pytest.fixture
def one_model(monkeypatch):
    """One provider that suggests one model, which retires on the first of January."""
    known = {"openai": {"m": Entry(1000, retires=date(2027, 1, 1))}}
    monkeypatch.setattr(catalogue, "shipped", lambda: catalogue.Catalogue("2026-11-28", "", known))
    monkeypatch.setattr(
        "scripts.catalogue.PROVIDERS", {"openai": ProviderSpec("openai", "", "openai", models=("m",))}
    )


@pytest.mark.usefixtures("one_model")
def test_a_suggested_model_is_named_thirty_days_before_it_retires():
    assert list(script.faults(date(2026, 12, 1))) == []
    assert list(script.faults(date(2026, 12, 2))) == ["openai: the suggested model m retires on 2027-01-01."]


@pytest.mark.usefixtures("one_model")
def test_a_catalogue_is_old_after_sixty_days():
    of_that_day = date(2026, 11, 28)

    def old(today: date) -> bool:
        return any("make catalogue" in fault for fault in script.faults(today))

    assert not old(of_that_day + timedelta(days=60))
    assert old(of_that_day + timedelta(days=61))


def test_no_suggested_model_retires_soon_after_the_day_of_the_catalogue():
    assert list(script.faults(date.fromisoformat(catalogue.shipped().date))) == []


def test_every_provider_with_facts_is_one_that_we_know():
    assert set(script.ORIGINS) <= set(PROVIDERS)
