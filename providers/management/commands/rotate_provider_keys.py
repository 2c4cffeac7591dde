from typing import Any

from django.core.management.base import BaseCommand, CommandError

from providers.services import rotate_keys


class Command(BaseCommand):
    help = (
        "Encrypt every stored API key anew with the first of FIELD_ENCRYPTION_KEYS. "
        "Put the new key in front, restart the service, run this, then take the old key away."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        outcome = rotate_keys()
        self.stdout.write(f"{outcome.renewed} encrypted anew, {outcome.current} were current already.")
        if outcome.unreadable:
            for row in outcome.unreadable:
                self.stderr.write(f"unreadable, left as it is: {row}")
            raise CommandError(
                f"{len(outcome.unreadable)} could not be read with any of FIELD_ENCRYPTION_KEYS. Keep the "
                "old keys, or have these API keys entered again."
            )
