"""The project's settings under an environment of our own, for tests that run Django in their own process.

Tests that start a real server do not use this module: see tests/server.py.
"""

import os

from tests import environment

os.environ |= {
    "SECRET_KEY": "for-tests-in-this-process-only-and-long-enough",
    "FIELD_ENCRYPTION_KEYS": "one-key-for-tests-only",
    "DATA_DIR": str(environment.FOLDER / "in-process"),
    "DATABASE_URL": environment.in_process_database(),
    "ALLOW_PRIVATE_PROVIDER_HOSTS": "1",
    "DEBUG": "0",
}

from chatproject.settings import *  # noqa: F403

# The real one is slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
