from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Chat")

    def ready(self) -> None:
        pre_delete.connect(_before_an_account_goes, sender=settings.AUTH_USER_MODEL)


def _before_an_account_goes(sender: Any, instance: Any, **kwargs: Any) -> None:
    from chat import deletions  # its models are loaded by now

    deletions.lock_all_of(instance.pk)
