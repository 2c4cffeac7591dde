"""Make the groups of staff that most installations need: operators and support."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.db.models import Q, QuerySet

# Operators keep the service running: settings for everybody, models, modes, accounts. They list
# conversations, but do not read them. Support helps people, and reads what they wrote.
GROUPS = {
    "operators": [
        "accounts.view_user",
        "accounts.add_user",
        "accounts.change_user",
        "chat.view_chatsession",
        *(f"chat.{action}_mode" for action in ("view", "add", "change", "delete")),
        *(f"providers.{action}_modelentry" for action in ("view", "add", "change", "delete")),
        *(f"providers.{action}_providerconfig" for action in ("view", "add", "change", "delete")),
    ],
    "support": ["accounts.view_user", "chat.view_chatsession", "chat.view_message"],
}


class Command(BaseCommand):
    help = "Make the groups operators and support; a group that is there keeps what it has."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset", action="store_true", help="give groups that are there exactly these permissions"
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        for name, wanted in GROUPS.items():
            group, made = Group.objects.get_or_create(name=name)
            if made or options["reset"]:
                group.permissions.set(_permissions(wanted))
            said = "made" if made else "reset" if options["reset"] else "there already, left as it is"
            self.stdout.write(f"{name}: {said}")


def _permissions(names: list[str]) -> QuerySet[Permission]:
    each = [name.split(".") for name in names]
    wanted = Q()
    for app, codename in each:
        wanted |= Q(content_type__app_label=app, codename=codename)
    return Permission.objects.filter(wanted)
