"""The provider and the model that a new conversation begins with. Pure: one rule for the page and the API."""

from chat.models import ChatSession
from providers.resolve import Choice


def first_choice(choices: list[Choice], last: ChatSession | None) -> tuple[str, str]:
    """Choose among what the person can use; `last` is the conversation they wrote in last.

    Settings that were saved with a default model since then come first, then what was used last, then the
    first provider that somebody has set up; the demo comes last of all.
    """
    usable = {choice.spec.id: choice for choice in choices if choice.configured}
    saved = max(
        (choice for choice in usable.values() if choice.own is not None and choice.own.default_model),
        key=lambda choice: choice.own.updated_at,  # type: ignore[union-attr]  # those without are left out
        default=None,
    )
    if (
        saved is not None
        and saved.own is not None
        and (last is None or saved.own.updated_at > last.updated_at)
    ):
        return saved.spec.id, saved.default_model
    if last is not None and last.provider in usable:
        return last.provider, last.model
    first = next((one for one in usable.values() if one.spec.protocol != "demo"), usable.get("demo"))
    return (first.spec.id, first.default_model) if first else ("", "")
