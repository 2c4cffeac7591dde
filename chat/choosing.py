"""Which provider and model are asked, where a request does not name both."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from chat.first_choice import first_choice
from chat.models import ChatSession
from providers.resolve import CONFIGS, choice_of, choices

MISSING = _("Name it: there is nothing to go on with and no default.")


def provider_and_model(
    user: Any, session: ChatSession | None, provider: str = "", model: str = ""
) -> tuple[str, str]:
    """Return what is asked: by the request, else the conversation, else the person's default."""
    if provider and model:
        return provider, model
    usual = (session.provider, session.model) if session and session.provider else default_of(user)
    if not provider:
        provider = usual[0]
    if not provider:
        raise ValidationError({"provider": [MISSING]})
    if not model:
        model = usual[1] if usual[0] == provider else _default_model(user, provider)
    if not model:
        raise ValidationError({"model": [MISSING]})
    return provider, model


def default_of(user: Any) -> tuple[str, str]:
    """Return the provider and the model of a person's new conversations, as the page chooses them."""
    last = ChatSession.objects.for_user(user).only("provider", "model", "updated_at").first()
    return first_choice(choices(user.pk), last)


def _default_model(user: Any, provider: str) -> str:
    return choice_of(provider, CONFIGS.objects(user.pk, provider)).default_model
