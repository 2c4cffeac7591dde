from typing import Any

import pytest
from django.core.management import CommandError, call_command

from providers import crypto
from providers.models import ProviderConfig

BINDING = ("user 1", "openai", "https://api.openai.com")
KEY = "sk-proj-0123456789abcdef"
OLD, NEW = "the-old-encryption-key-0123456789", "the-new-encryption-key-0123456789"


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("text", ["", "k", KEY, "schlüssel 密钥", "x" * 4096])
def test_what_is_encrypted_can_be_decrypted(text: str) -> None:
    assert crypto.decrypt(crypto.encrypt(text, BINDING), BINDING) == text


def test_a_ciphertext_shows_nothing_and_is_never_the_same_twice() -> None:
    first, second = crypto.encrypt(KEY, BINDING), crypto.encrypt(KEY, BINDING)

    assert first != second
    assert KEY.encode() not in first
    assert KEY[-4:].encode() not in first


@pytest.mark.parametrize(
    "other",
    [
        ("user 2", "openai", "https://api.openai.com"),
        ("shared", "openai", "https://api.openai.com"),
        ("user 1", "deepseek", "https://api.openai.com"),
        ("user 1", "openai", "https://elsewhere.example"),
        ("user 1", "openai", "http://api.openai.com"),
        ("user 1", "openaihttps://", "api.openai.com"),
        ("user 1", "openai"),
        (),
    ],
)
def test_a_ciphertext_moved_elsewhere_is_unreadable(other: tuple[str, ...]) -> None:
    with pytest.raises(crypto.Unreadable):
        crypto.decrypt(crypto.encrypt(KEY, BINDING), other)


def test_a_ciphertext_changed_anywhere_is_unreadable() -> None:
    ciphertext = crypto.encrypt(KEY, BINDING)

    for position in range(len(ciphertext)):
        with pytest.raises(crypto.Unreadable):
            crypto.decrypt(flipped(ciphertext, position), BINDING)
    for length in range(len(ciphertext)):
        with pytest.raises(crypto.Unreadable):
            crypto.decrypt(ciphertext[:length], BINDING)


def test_old_keys_decrypt_and_only_the_first_encrypts(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    old = crypto.encrypt(KEY, BINDING)

    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    new = crypto.encrypt(KEY, BINDING)

    assert crypto.decrypt(old, BINDING) == KEY
    assert (crypto.is_current(old), crypto.is_current(new)) == (False, True)
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert crypto.decrypt(new, BINDING) == KEY
    with pytest.raises(crypto.Unreadable):
        crypto.decrypt(old, BINDING)


def test_two_keys_with_the_same_id_are_both_tried(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Four bytes can collide; it must cost a try and nothing else.
    real = crypto._derive
    monkeypatch.setattr(
        crypto, "_derive", lambda key, purpose, size: b"same" if size == 4 else real(key, purpose, size)
    )
    crypto._ciphers.cache_clear()
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    old = crypto.encrypt(KEY, BINDING)

    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    assert crypto.decrypt(old, BINDING) == KEY
    crypto._ciphers.cache_clear()


def test_the_format_is_what_it_says() -> None:
    ciphertext = crypto.encrypt(KEY, BINDING)

    assert ciphertext[:1] == b"\x01"
    assert len(ciphertext) == 1 + 4 + 12 + len(KEY) + 16


# --- Changing the encryption key ---


@pytest.fixture
def rows(settings: Any, django_user_model: Any, db: None) -> dict[str, ProviderConfig]:
    """A user's key and a shared one under the old encryption key, and a row without any."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    user = django_user_model.objects.create_user("someone")
    made = {
        "own": ProviderConfig(user=user, provider="openai"),
        "elsewhere": ProviderConfig(user=user, provider="custom", base_url="https://llm.example/v1"),
        "shared": ProviderConfig(user=None, provider="openai"),
        "keyless": ProviderConfig(user=user, provider="ollama", base_url="http://127.0.0.1:11434"),
    }
    made["own"].set_key(KEY, "https://api.openai.com")
    made["elsewhere"].set_key(f"{KEY}-elsewhere", "https://llm.example")
    made["shared"].set_key(f"{KEY}-shared", "https://api.openai.com")
    for row in made.values():
        row.save()
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    return made


def test_rotation_brings_every_key_under_the_new_one(
    rows: dict[str, ProviderConfig], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: row.updated_at for name, row in rows.items()}

    call_command("rotate_provider_keys")
    call_command("rotate_provider_keys")

    assert capsys.readouterr().out.splitlines() == [
        "3 encrypted anew, 0 were current already.",
        "0 encrypted anew, 3 were current already.",
    ]
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    for row in rows.values():
        row.refresh_from_db()
    assert rows["own"].key_for("https://api.openai.com") == KEY
    assert rows["elsewhere"].key_for("https://llm.example") == f"{KEY}-elsewhere"
    assert rows["shared"].key_for("https://api.openai.com") == f"{KEY}-shared"
    assert rows["keyless"].has_key is False
    assert {name: row.updated_at for name, row in rows.items()} == before


def test_rotation_leaves_the_unreadable_and_says_so(
    rows: dict[str, ProviderConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = bytes(rows["shared"].api_key)
    ProviderConfig.objects.filter(pk=rows["own"].pk).update(api_key=foreign)

    with pytest.raises(CommandError, match="1 could not be read"):
        call_command("rotate_provider_keys")

    said = capsys.readouterr()
    assert "2 encrypted anew" in said.out
    assert f"unreadable, left as it is: {rows['own'].pk}: openai (user {rows['own'].user_id})" in said.err
    rows["own"].refresh_from_db()
    assert bytes(rows["own"].api_key) == foreign


def test_rotation_does_not_overwrite_what_changes_meanwhile(
    rows: dict[str, ProviderConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    reencrypt = ProviderConfig.reencrypt

    def while_the_user_saves(row: ProviderConfig, origin: str) -> None:
        fresh = ProviderConfig.objects.get(pk=row.pk)
        fresh.set_key(f"{KEY}-entered-just-now", origin)
        fresh.save()
        reencrypt(row, origin)

    monkeypatch.setattr(ProviderConfig, "reencrypt", while_the_user_saves)
    call_command("rotate_provider_keys")

    rows["own"].refresh_from_db()
    assert rows["own"].key_for("https://api.openai.com") == f"{KEY}-entered-just-now"


def test_rotation_takes_more_than_one_batch(rows: dict[str, ProviderConfig]) -> None:
    from providers.services import rotate_keys

    assert rotate_keys(batch=1).renewed == 3
