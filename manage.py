#!/usr/bin/env python
"""Django's command line, with this project's settings and the secret of its data folder."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from chatproject import private_files, secret

    private_files.from_now_on()
    secret.use_stored(secret.data_folder())
    try:
        settings.INSTALLED_APPS  # noqa: B018 (loads the settings)
    except ImproperlyConfigured as exc:
        sys.exit(f"Cannot start: {exc}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
