"""The project's settings as they are, but for the one thing that is slow on purpose.

A server that tests start makes hundreds of users, and each password would take it half a second.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from chatproject.settings import *  # noqa: F403


class QuickHasher(PBKDF2PasswordHasher):
    iterations = 1000


PASSWORD_HASHERS = ["tests.server_settings.QuickHasher"]
