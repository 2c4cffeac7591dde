"""Who may sign in, and how often somebody has tried something."""

from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.usernames import fold

NAME_TAKEN = _("This username is taken.")


class FoldedUsernameField(models.CharField):
    """Follows `username`, so that whoever writes a user cannot forget it."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = fold(getattr(model_instance, "username", ""))
        setattr(model_instance, self.attname, folded)
        return folded


class AccountQuerySet(models.QuerySet["User"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete accounts with all they have, while nothing is begun in their name."""
        with transaction.atomic():
            lock(self)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]  # for templates
    delete.queryset_only = True  # type: ignore[attr-defined]


def lock(users: models.QuerySet["User"]) -> None:
    """Lock accounts for deletion before anything is looked up that is to go with them.

    Whoever begins something for a person locks the account first, and what belongs to it after that.
    """
    list(users.order_by("pk").select_for_update().values_list("pk"))


class AccountManager(UserManager["User"]):
    def get_queryset(self) -> AccountQuerySet:
        return AccountQuerySet(self.model, using=self._db)

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
    theme = models.CharField(
        _("theme"),
        max_length=10,
        blank=True,
        default="",
        choices=[("light", _("Light")), ("dark", _("Dark"))],
        help_text=_("Empty: as the device is set."),
    )
    # How much of a new conversation of theirs is sent to the model; chosen with the last one.
    context = models.CharField(max_length=10, default="recent", editable=False)
    # How often this person has signed out everywhere; see `get_session_auth_hash`.
    sign_out_count = models.PositiveIntegerField(default=0, editable=False)
    # The sign-in that the last such change, or change of the password, was made by; see `accounts.sign_ins`.
    kept_sign_in = models.CharField(max_length=64, blank=True, default="", editable=False)

    # AbstractUser's own manager is meant to be replaced by one of the same kind.
    objects = AccountManager()  # type: ignore[misc]

    class Meta(AbstractUser.Meta):
        # The same words as the parent's, which the stubs take for plain strings.
        verbose_name = _("user")  # type: ignore[assignment]
        verbose_name_plural = _("users")  # type: ignore[assignment]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the account with all it has, while nothing is begun in its name."""
        with transaction.atomic():
            lock(User.objects.filter(pk=self.pk))
            return super().delete(*args, **kwargs)

    def sign_out_everywhere(self, keep: str = "") -> None:
        """End every session and token there is, but for what the sign-in `keep` is reading just now."""
        with transaction.atomic():
            now = User.objects.select_for_update().get(pk=self.pk)
            self.password, self.sign_out_count = now.password, now.sign_out_count + 1
            self.keep(keep)
            self.save(update_fields=["sign_out_count", "kept_sign_in"])

    def keep(self, sign_in: str) -> None:
        """Let the streams of one sign-in outlast this change of what sign-ins are bound to."""
        self.kept_sign_in = self._mark_of(sign_in) if sign_in else ""

    def keeps(self, sign_in: str) -> bool:
        """Tell whether the last change has left this sign-in alone."""
        return bool(self.kept_sign_in) and constant_time_compare(self.kept_sign_in, self._mark_of(sign_in))

    def _mark_of(self, sign_in: str) -> str:
        stamp = f"{sign_in} {self.get_session_auth_hash()}"
        return salted_hmac("accounts.kept_sign_in", stamp, algorithm="sha256").hexdigest()

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        # Sessions and tokens are bound to this: it changes with the password, and now also on request.
        of_password: str = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]  # not in the stubs
        if not self.sign_out_count:
            return of_password
        stamp = f"{of_password} {self.sign_out_count}"
        return salted_hmac(
            "accounts.sign_out_everywhere", stamp, secret=secret, algorithm="sha256"
        ).hexdigest()

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
