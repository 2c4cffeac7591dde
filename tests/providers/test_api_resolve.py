"""Whose key is used, and where it goes; in this process, to count the queries."""

from typing import Any

import pytest

from providers.models import ProviderConfig, hint
from providers.resolve import (
    ProviderKeyUnreadable,
    ProviderNotConfigured,
    ProviderUnknown,
    resolve,
)
from providers.services import Changes, save_config

OWN, SHARED, ENVIRONMENT = "sk-own-0123456789", "sk-shared-0123456789", "sk-environment-0123456789"


@pytest.fixture
def alice(django_user_model: Any, db: None) -> Any:
    return django_user_model.objects.create_user("alice")


@pytest.fixture
def bob(django_user_model: Any, db: None) -> Any:
    return django_user_model.objects.create_user("bob")


@pytest.fixture(autouse=True)
def environment(settings: Any) -> None:
    settings.SHARED_PROVIDER_KEYS = {"mistral": ENVIRONMENT}


def save(user: Any, provider: str = "openai", **changes: Any) -> ProviderConfig:
    return save_config(user=user, provider=provider, changes=Changes(**changes))


def test_the_own_key_comes_first_then_the_shared_then_the_environments(alice: Any, bob: Any) -> None:
    save(alice, "mistral", api_key=OWN)
    save(None, "openai", api_key=SHARED)

    assert resolve(alice, "mistral").api_key == OWN
    assert resolve(bob, "mistral").api_key == ENVIRONMENT
    assert resolve(alice, "openai").api_key == resolve(bob, "openai").api_key == SHARED
    save(None, "mistral", api_key=SHARED)
    assert resolve(bob, "mistral").api_key == SHARED
    assert resolve(alice, "mistral").api_key == OWN


def test_it_takes_at_most_one_query(alice: Any, django_assert_num_queries: Any) -> None:
    save(alice, api_key=OWN)
    save(None, api_key=SHARED)

    with django_assert_num_queries(1):
        resolve(alice, "openai")
    with django_assert_num_queries(1):
        resolve(alice, "mistral")
    with django_assert_num_queries(0):
        resolve(alice, "demo")


def test_an_access_never_shows_its_key(alice: Any) -> None:
    row = save(alice, api_key=OWN)

    assert OWN not in repr(resolve(alice, "openai"))
    assert OWN not in f"{row!r} {row}"


def test_what_is_switched_off_is_not_configured(alice: Any, bob: Any) -> None:
    save(alice, "mistral", api_key=OWN, enabled=False)
    save(None, "openai", api_key=SHARED, enabled=False)

    for user, provider in [(alice, "mistral"), (alice, "openai"), (bob, "openai")]:
        with pytest.raises(ProviderNotConfigured):
            resolve(user, provider)


def test_a_shared_row_switched_off_hides_the_environments_key(alice: Any) -> None:
    save(None, "mistral", enabled=False)

    with pytest.raises(ProviderNotConfigured):
        resolve(alice, "mistral")


def test_own_settings_without_a_key_only_choose_the_model(alice: Any, bob: Any) -> None:
    save(None, api_key=SHARED, default_model="everyones")
    save(alice, default_model="alices")

    assert (resolve(alice, "openai").api_key, resolve(alice, "openai").default_model) == (SHARED, "alices")
    assert resolve(bob, "openai").default_model == "everyones"


def test_a_shared_key_never_goes_to_a_users_own_address(alice: Any) -> None:
    save(None, api_key=SHARED)
    save(alice, base_url="https://elsewhere.example/v1")

    with pytest.raises(ProviderNotConfigured):
        resolve(alice, "openai")


def test_a_server_without_a_key_needs_an_address(alice: Any) -> None:
    with pytest.raises(ProviderNotConfigured):
        resolve(alice, "custom")

    save(alice, "custom", base_url="http://127.0.0.1:8080/v1")

    access = resolve(alice, "custom")
    assert (access.base_url, access.api_key) == ("http://127.0.0.1:8080/v1", "")


@pytest.mark.parametrize("provider", ["", "nope", "OpenAI", "openai "])
def test_an_unknown_provider_is_told(alice: Any, provider: str) -> None:
    with pytest.raises(ProviderUnknown):
        resolve(alice, provider)


def test_a_key_moved_to_another_row_is_unreadable_and_never_sent(alice: Any, bob: Any) -> None:
    stolen = save(alice, api_key=OWN).api_key
    mine = save(bob, api_key="sk-bob-0123456789")

    ProviderConfig.objects.filter(pk=mine.pk).update(api_key=stolen)

    with pytest.raises(ProviderKeyUnreadable):
        resolve(bob, "openai")


def test_a_row_turned_towards_another_host_is_unreadable(alice: Any) -> None:
    row = save(alice, api_key=OWN)
    ProviderConfig.objects.filter(pk=row.pk).update(base_url="https://elsewhere.example/v1")

    with pytest.raises(ProviderKeyUnreadable):
        resolve(alice, "openai")


def test_a_key_is_unreadable_after_its_encryption_key_is_gone(alice: Any, settings: Any) -> None:
    save(alice, api_key=OWN)
    settings.FIELD_ENCRYPTION_KEYS = ["a-completely-different-key-0123456789"]

    with pytest.raises(ProviderKeyUnreadable):
        resolve(alice, "openai")
    save(alice, api_key="sk-entered-again-0123")
    assert resolve(alice, "openai").api_key == "sk-entered-again-0123"


def test_the_key_is_nowhere_in_the_row(alice: Any) -> None:
    row = save(alice, api_key=OWN)

    stored = ProviderConfig.objects.filter(pk=row.pk).values().get()

    assert OWN not in str(stored)
    assert OWN.encode() not in bytes(stored["api_key"])


@pytest.mark.parametrize(
    ("key", "shown"),
    [("", ""), ("short", "••••"), ("elevenchars", "••••"), ("twelve-chars", "••••hars"), (OWN, "••••6789")],
)
def test_a_hint_gives_little_away(key: str, shown: str) -> None:
    assert hint(key) == shown
