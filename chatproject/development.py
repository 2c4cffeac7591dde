"""The ASGI application for development: a restart also collects the static files that have changed."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
django.setup(set_prefix=False)

from chatproject import static  # noqa: E402 (reads the settings)

# The server lists the static files when it is imported, so they must be there before.
static.collect()

from chatproject.asgi import application  # noqa: E402

__all__ = ["application"]
