"""Who may sign in, and how often somebody has tried something."""

from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.usernames import fold

NAME_TAKEN = _("This username is taken.")


class FoldedUsernameField(models.CharField):
    """Follows `username`, so that whoever writes a user cannot forget it."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = fold(getattr(model_instance, "username", ""))
        setattr(model_instance, self.attname, folded)
        return folded


class AccountManager(UserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username_key=fold(username or ""))


class User(AbstractUser):
    # Folding a character makes it three at most, and a username has 150.
    username_key = FoldedUsernameField(max_length=450, unique=True, editable=False)
    language = models.CharField(
        _("language"),
        max_length=10,
        blank=True,
        default="",
        choices=[("zh-hans", "简体中文"), ("en", "English")],
        help_text=_("Empty: the browser's language."),
    )

    # AbstractUser's own manager is meant to be replaced by one of the same kind.
    objects = AccountManager()  # type: ignore[misc]

    class Meta(AbstractUser.Meta):
        # The same words as the parent's, which the stubs take for plain strings.
        verbose_name = _("user")  # type: ignore[assignment]
        verbose_name_plural = _("users")  # type: ignore[assignment]

    def validate_unique(self, exclude: Any = None) -> None:
        exclude = set(exclude or ())
        # The field's own check knows only the exact spelling.
        super().validate_unique({*exclude, "username"})
        if "username" not in exclude and self.name_is_taken():
            raise ValidationError({"username": ValidationError(NAME_TAKEN, code="unique")})

    def name_is_taken(self) -> bool:
        others = User.objects.filter(username_key=fold(self.username))
        return others.exclude(pk=self.pk).exists()


class RateCounter(models.Model):
    """One counter of one limit in one window of time; see `accounts.counters`."""

    key = models.CharField(primary_key=True, max_length=255)
    count = models.BigIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
