"""Servers that people add: their ids and names, and whose they are."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from providers import entries, servers
from providers.models import ModelEntry, ProviderConfig
from providers.resolve import ProviderKeyUnreadable, ProviderUnknown, choices, resolve
from providers.services import Changes, checked_server_name, save_config

URL = "https://8.8.8.8/v1"
LAB = "custom:lab"


@pytest.fixture
def alice(django_user_model: Any, db: None) -> Any:
    return django_user_model.objects.create_user("alice")


@pytest.fixture
def bob(django_user_model: Any, db: None) -> Any:
    return django_user_model.objects.create_user("bob")


def add(user: Any, provider: str = LAB, **changes: Any) -> ProviderConfig:
    return save_config(user=user, provider=provider, changes=Changes(**{"base_url": URL, **changes}))


def refused(user: Any, provider: str = LAB, **changes: Any) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        add(user, provider, **changes)
    return list(raised.value.message_dict)


@pytest.mark.parametrize("slug", ["a", "7", "lab", "gpu-2", "a" * 40, "a--b"])
def test_a_slug_is_small_letters_digits_and_dashes(slug):
    assert servers.is_server(f"custom:{slug}")
    ProviderConfig(provider=f"custom:{slug}", name="n").clean_fields()


@pytest.mark.parametrize(
    "slug", ["", "-a", "a-", "LAB", "a b", "a_b", "a/b", "a" * 41, "ä", "实验", "a\n", "a:b", "．", "٣"]
)
def test_everything_else_is_none(slug):
    assert not servers.is_server(f"custom:{slug}")
    assert not servers.is_server(slug)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("  Lab   GPU\n", "Lab GPU"),
        ("实验室服务器", "实验室服务器"),
        ("مختبر", "مختبر"),
        ("کتاب\u200cخانه", "کتاب\u200cخانه"),
        ("👩\u200d💻 desk", "👩\u200d💻 desk"),
        ("e\u0301", "é"),
        ("safe\u202eelif\u202c", "safeelif"),
        ("\u2067a\u2069\u200f\u061c", "a"),
        ("a\u200bb\ufeff\u00ad", "ab"),
        ("a\0b\x1b[31m", "ab[31m"),
    ],
)
def test_a_name_is_one_line_and_turns_nothing_around(given, name):
    assert checked_server_name(given) == name


@pytest.mark.parametrize("given", ["", "  ", "\u202e", "\u200d", "\u0301", "x" * 81, "\ud800"])
def test_what_shows_nothing_or_too_much_is_no_name(given):
    with pytest.raises(ValidationError):
        checked_server_name(given)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Lab GPU 2", "lab-gpu-2"), ("Ünïcode", "unicode"), ("实验室", "server"), ("New", "server")],
)
def test_a_slug_is_made_of_a_name_where_none_is_given(name, slug):
    assert servers.free_id(name, set()) == f"custom:{slug}"
    assert servers.free_id(name, {f"custom:{slug}", f"custom:{slug}-2"}) == f"custom:{slug}-3"
    assert servers.is_server(servers.free_id("x" * 80, {f"custom:{servers.slug_from('x' * 80)}"}))


def test_a_server_has_a_name_and_a_protocol_and_keeps_them(alice):
    first = add(alice)
    renamed = add(alice, name="Lab", protocol="anthropic")
    kept = add(alice, default_model="m")

    assert (first.name, first.protocol) == ("lab", "openai")
    assert (renamed.pk, kept.name, kept.protocol, kept.default_model) == (first.pk, "Lab", "anthropic", "m")
    access = resolve(alice, LAB)
    assert (access.spec.id, access.spec.name, access.spec.protocol) == (LAB, "Lab", "anthropic")


def test_only_a_server_has_a_name_and_a_protocol(alice):
    assert refused(alice, "custom", name="Lab") == ["name"]
    assert refused(alice, "openai", protocol="ollama") == ["protocol"]
    assert refused(alice, "custom:LAB") == ["provider"]
    assert refused(alice, "custom:new") == ["provider"]
    assert refused(alice, base_url="") == ["base_url"]
    assert not ProviderConfig.objects.exists()


def test_two_servers_of_one_person_have_two_names(alice, bob):
    add(alice, name="Straße")

    assert refused(alice, "custom:two", name="STRASSE") == ["name"]
    assert add(bob, "custom:two", name="Straße").name == "Straße"
    assert add(None, "custom:two", name="Straße").user is None
    # Its own name is no other's.
    assert add(alice, name="straße").name == "straße"


def test_a_name_taken_at_the_same_moment_is_refused_by_the_database(alice, monkeypatch):
    add(alice, name="Lab")
    with monkeypatch.context() as patch:
        # The other one is not seen yet.
        patch.setattr("providers.services._check_server", lambda row: None)
        from django.db import IntegrityError, transaction

        with pytest.raises(IntegrityError), transaction.atomic():
            add(alice, "custom:two", name="Lab")
    assert refused(alice, "custom:two", name="Lab") == ["name"]


def test_a_person_has_fifty_servers_at_most(alice, bob):
    rows = [
        ProviderConfig(user=alice, provider=f"custom:s{n}", name=f"s{n}", base_url=URL)
        for n in range(servers.MOST_SERVERS)
    ]
    ProviderConfig.objects.bulk_create(rows)

    assert refused(alice) == ["provider"]
    assert add(alice, "custom:s7", name="seven").name == "seven"
    assert add(alice, "openai", base_url="", api_key="sk-0123456789ab").provider == "openai"
    assert add(bob).name == "lab"


def test_a_server_is_there_for_its_owner_alone(alice, bob):
    add(alice, api_key="sk-0123456789ab")

    assert LAB in [choice.spec.id for choice in choices(alice.pk)]
    assert LAB not in [choice.spec.id for choice in choices(bob.pk)]
    for nobody in (bob, alice):
        with pytest.raises(ProviderUnknown):
            resolve(nobody, "custom:other")
    with pytest.raises(ProviderUnknown):
        resolve(bob, LAB)


def test_a_shared_server_serves_everybody_and_an_own_one_of_its_id_comes_first(alice, bob):
    add(None, name="Everyone's", api_key="sk-shared-012345")
    add(alice, name="Mine", protocol="ollama", base_url="https://8.8.4.4", api_key="sk-own-01234567")

    mine, everyones = resolve(alice, LAB), resolve(bob, LAB)
    assert (mine.api_key, mine.base_url, mine.spec.protocol) == (
        "sk-own-01234567",
        "https://8.8.4.4",
        "ollama",
    )
    assert (everyones.api_key, everyones.spec.name) == ("sk-shared-012345", "Everyone's")
    add(None, enabled=False)
    assert LAB not in [choice.spec.id for choice in choices(bob.pk)]
    # One's own that is switched off can still be found, and is not replaced by the shared one.
    add(alice, base_url="https://8.8.4.4", enabled=False)
    assert [choice.configured for choice in choices(alice.pk) if choice.spec.id == LAB] == [False]


def test_servers_are_listed_by_name_beside_the_nameless_one(alice):
    add(alice, "custom:b", name="beta")
    add(alice, "custom:a", name="Zeta")
    add(None, "custom:c", name="Alpha")

    ids = [choice.spec.id for choice in choices(alice.pk)]
    place = ids.index("custom")
    assert ids[place : place + 4] == ["custom", "custom:c", "custom:b", "custom:a"]


def test_a_key_and_headers_are_of_one_server_alone(alice):
    one = add(alice, "custom:one", api_key="sk-0123456789ab", headers={"x-team": "blue-0123"})
    add(alice, "custom:two")

    for column in ("api_key", "headers"):
        stolen = {"api_key": b"", "headers": b"", column: getattr(one, column)}
        ProviderConfig.objects.filter(provider="custom:two").update(**stolen)
        with pytest.raises(ProviderKeyUnreadable):
            resolve(alice, "custom:two")
    # Neither can be taken for the other, though it is the same row.
    ProviderConfig.objects.filter(pk=one.pk).update(api_key=one.headers)
    with pytest.raises(ProviderKeyUnreadable):
        resolve(alice, "custom:one")


def test_rotation_renews_servers_keys_and_headers(alice, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    add(alice, headers={"x-team": "blue-0123"})
    add(alice, "custom:both", api_key="sk-0123456789ab", headers={"x-team": "red-01234"})
    settings.FIELD_ENCRYPTION_KEYS = ["new", "old"]

    call_command("rotate_provider_keys")

    settings.FIELD_ENCRYPTION_KEYS = ["new"]
    assert resolve(alice, LAB).headers == {"x-team": "blue-0123"}
    both = resolve(alice, "custom:both")
    assert (both.api_key, both.headers) == ("sk-0123456789ab", {"x-team": "red-01234"})


def test_what_staff_say_of_a_shared_server_is_not_about_a_persons_own(alice, bob):
    add(None, protocol="anthropic")
    add(alice, protocol="anthropic")
    ModelEntry.objects.create(
        provider=LAB, model="*", max_output_tokens=77, extra_body={"enable_thinking": False}
    )

    shared, own = resolve(bob, LAB), resolve(alice, LAB)
    assert entries.output_limit(shared.spec, "m", None) == 77
    assert entries.extra_body(shared, "m") == {"enable_thinking": False}
    assert entries.output_limit(own.spec, "m", None) is None
    assert entries.extra_body(own, "m") == {}


def test_the_body_fields_of_the_settings_win_over_those_of_the_models_entry(alice):
    add(alice, "openai", base_url="", api_key="sk-0123456789ab", extra_body={"a": 1, "in": {"x": 1}})
    ModelEntry.objects.create(provider="openai", model="gpt-*", extra_body={"a": 2, "in": {"x": 2, "y": 2}})
    # An entry without body fields hides none.
    ModelEntry.objects.create(provider="openai", model="gpt-5", context_window=5)

    access = resolve(alice, "openai")
    assert entries.extra_body(access, "GPT-5") == {"a": 1, "in": {"x": 1, "y": 2}}
    assert entries.extra_body(access, "o3") == {"a": 1, "in": {"x": 1}}
