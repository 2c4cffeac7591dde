"""API keys at rest: AES-256-GCM, bound to where they belong, under keys that can be changed.

A ciphertext is: version (1 byte), id of the encryption key (4), nonce (12),
and what AES-GCM made of the text. The binding is authenticated with it: a
ciphertext only opens for the very parts it was made for.
"""

import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

VERSION = b"\x01"
KEY_ID_BYTES = 4
NONCE_BYTES = 12
HEADER_BYTES = len(VERSION) + KEY_ID_BYTES + NONCE_BYTES


class Unreadable(Exception):
    """No key we have opens this ciphertext for this binding."""


def encrypt(text: str, binding: tuple[str, ...]) -> bytes:
    key_id, cipher = _ciphers(tuple(settings.FIELD_ENCRYPTION_KEYS))[0]
    head = VERSION + key_id
    nonce = os.urandom(NONCE_BYTES)
    return head + nonce + cipher.encrypt(nonce, text.encode(), _authenticated(head, binding))


def decrypt(ciphertext: bytes, binding: tuple[str, ...]) -> str:
    """Return the text; raises `Unreadable`."""
    if len(ciphertext) < HEADER_BYTES or ciphertext[:1] != VERSION:
        raise Unreadable("not in a format known here")
    head, nonce, sealed = _cut(ciphertext)
    for key_id, cipher in _ciphers(tuple(settings.FIELD_ENCRYPTION_KEYS)):
        if key_id != head[1:]:
            continue
        try:
            return cipher.decrypt(nonce, sealed, _authenticated(head, binding)).decode()
        except InvalidTag:
            continue
    raise Unreadable("no encryption key opens it here")


def is_current(ciphertext: bytes) -> bool:
    """Tell whether a ciphertext names the key that encrypts now."""
    key_id, _ = _ciphers(tuple(settings.FIELD_ENCRYPTION_KEYS))[0]
    return ciphertext.startswith(VERSION + key_id)


def fingerprint(text: str) -> str:
    """Return what tells two secrets apart without giving either away."""
    secret = settings.SECRET_KEY.encode()
    return hmac.new(secret, b"fingerprint\0" + text.encode(), hashlib.sha256).hexdigest()


def _cut(ciphertext: bytes) -> tuple[bytes, bytes, bytes]:
    head_end = len(VERSION) + KEY_ID_BYTES
    return ciphertext[:head_end], ciphertext[head_end:HEADER_BYTES], ciphertext[HEADER_BYTES:]


def _authenticated(head: bytes, binding: tuple[str, ...]) -> bytes:
    # Each part is preceded by its length, so that no two bindings read the same.
    parts = (part.encode() for part in binding)
    return head + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@lru_cache(maxsize=8)
def _ciphers(secrets: tuple[str, ...]) -> list[tuple[bytes, AESGCM]]:
    return [
        (_derive(secret, b"key id", KEY_ID_BYTES), AESGCM(_derive(secret, b"key", 32))) for secret in secrets
    ]


def _derive(secret: str, purpose: bytes, length: int) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=b"provider api key v1: " + purpose)
    return kdf.derive(secret.encode())
