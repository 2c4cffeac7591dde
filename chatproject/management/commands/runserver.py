"""`manage.py runserver`: the service as `make run` starts it, which starts again when a file changes.

Django's own command speaks WSGI and would hold a streamed answer back until its end.
"""

import os
import re
import sys
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[^:\[\]]+):)?(?P<port>\d{1,5})")


class Command(BaseCommand):
    help = "Start the service for development, and restart it when its code, templates or texts change."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "addrport", nargs="?", help="port, or address:port. Default: HOST and PORT, or 127.0.0.1:8000."
        )
        parser.add_argument(
            "--noreload", action="store_false", dest="reload", help="Do not restart on changes."
        )

    def handle(self, *, addrport: str | None, reload: bool, **options: object) -> None:
        os.environ |= _environment(addrport)
        # The settings of this process were read without the defaults of a real start.
        arguments = [sys.executable, "-m", "chatproject.launch", *(["--reload"] if reload else [])]
        os.chdir(settings.BASE_DIR)
        sys.stdout.flush()
        os.execv(sys.executable, arguments)  # noqa: S606 (our own interpreter and module)


def _environment(addrport: str | None) -> dict[str, str]:
    environment = {"DATA_DIR": str(settings.DATA_DIR), "WEB_CONCURRENCY": "1"}
    if addrport:
        given = ADDRESS.fullmatch(addrport)
        if given is None:
            raise CommandError(f"{addrport} is neither a port nor address:port.")
        environment["PORT"] = given["port"]
        if given["host"]:
            environment["HOST"] = given["host"].strip("[]")
    return environment
