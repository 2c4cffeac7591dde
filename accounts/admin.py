"""Users in the admin. Tokens stay out of it: nobody has to see them."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.forms import AdminLoginForm
from accounts.models import User
from chatproject.admin import ShortSearch

admin.site.login_form = AdminLoginForm
admin.site.unregister(BlacklistedToken)
admin.site.unregister(OutstandingToken)


RIGHTS = ["is_staff", "is_superuser", "groups", "user_permissions"]


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Tell whether somebody may change another account: that of a member of staff only as a superuser.

    To set such an account's password is to become its owner.
    """
    return user is None or request.user.is_superuser or not (user.is_staff or user.is_superuser)


@admin.register(User)
class UserAdmin(ShortSearch, DjangoUserAdmin):
    list_display = ["username", "email", "is_active", "is_staff", "language", "date_joined", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser", "language", "date_joined"]
    ordering = ["-date_joined"]
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Personal info"), {"fields": ("email", "first_name", "last_name", "language", "theme")}),
        (
            _("Permissions"),
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        (_("Important dates"), {"fields": ("last_login", "date_joined", "stored_chars")}),
    )
    readonly_fields = ["last_login", "date_joined", "stored_chars"]
    actions = ["sign_out_everywhere"]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Whoever may change these could give themselves every right.
        mine = request.user.is_superuser
        return self.readonly_fields if mine else [*self.readonly_fields, *RIGHTS]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        # With somebody's password one reads their conversations, which takes a permission of its own.
        if not request.user.is_superuser:
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    @admin.display(description=_("stored characters"))
    def stored_chars(self, user: User) -> int:
        """Return how much text somebody has stored, of what `CHAT_MAX_STORED_CHARS` allows."""
        return int(user.chat_sessions.aggregate(stored=Sum("stored_chars"))["stored"] or 0)

    @admin.action(description=_("Sign out everywhere"), permissions=["change"])
    def sign_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            if _may_touch(request, user):
                user.sign_out_everywhere()
        self.message_user(request, _("Whoever was chosen is signed out everywhere."), messages.SUCCESS)
