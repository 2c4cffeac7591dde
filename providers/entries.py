"""What is known of models here: what staff say, and for the rest the shipped catalogue."""

from providers import catalogue
from providers.catalogue import Entry
from providers.models import ModelEntry
from providers.registry import NEED_LIMIT, NEED_WINDOW, ProviderSpec


def stated(provider: str) -> dict[str, Entry]:
    """Return what staff say of a provider's models, in one query."""
    return {row.model.lower(): row.entry for row in ModelEntry.objects.filter(provider=provider)}


def known(provider: str, model: str, said: catalogue.Entries, listed: Entry | None = None) -> Entry:
    """Return all that is known of a model: from staff, then from the provider's list, then as shipped.

    `said` is what `stated` gave for its provider.
    """
    staff = catalogue.find(said, model) or Entry()
    return staff.over(listed).over(catalogue.look_up(provider, model))


def output_limit(spec: ProviderSpec, model: str, wanted: int | None) -> int | None:
    """Return how many tokens to ask for: no more than wanted, and no more than the model writes.

    `None` leaves it to the provider. One query, where there is something to decide.
    """
    if spec.protocol == "demo" or (wanted is None and spec.protocol not in NEED_LIMIT):
        return wanted
    most = known(spec.id, model, stated(spec.id)).max_output_tokens
    return min((limit for limit in (wanted, most) if limit is not None), default=None)


def context_window(spec: ProviderSpec, model: str) -> int | None:
    """Return how many tokens to let the model read; `None` leaves it to the provider."""
    if spec.protocol not in NEED_WINDOW:
        return None
    return known(spec.id, model, stated(spec.id)).context_window
