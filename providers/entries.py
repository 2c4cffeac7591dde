"""What is known of models here: what staff say, and for the rest the shipped catalogue."""

from collections.abc import Sequence
from typing import Any

from chatproject.prepared import Select
from providers import catalogue
from providers.bodies import merged
from providers.catalogue import Entry
from providers.models import ModelEntry
from providers.registry import NEED_LIMIT, NEED_WINDOW, ProviderAccess
from providers.specs import ProviderSpec

# Asked for every answer, and nearly always empty.
WITH_BODY = Select(
    lambda provider: ModelEntry.objects.filter(provider=provider).exclude(extra_body={}).order_by()
)


def stated(spec: ProviderSpec) -> dict[str, Entry]:
    """Return what staff say of a provider's models, in one query."""
    if spec.personal:
        return {}
    return {row.model.lower(): row.entry for row in ModelEntry.objects.filter(provider=spec.id)}


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
    most = known(spec.id, model, stated(spec)).max_output_tokens
    return min((limit for limit in (wanted, most) if limit is not None), default=None)


def context_window(spec: ProviderSpec, model: str) -> int | None:
    """Return how many tokens to let the model read; `None` leaves it to the provider."""
    if spec.protocol not in NEED_WINDOW:
        return None
    return known(spec.id, model, stated(spec)).context_window


def extra_body(
    access: ProviderAccess, model: str, entries: Sequence[ModelEntry] | None = None
) -> dict[str, Any]:
    """Return the fields that are added to a request. The settings win over the model's entry.

    `entries` are the rows of `WITH_BODY` for this provider, where they were read already.
    """
    if access.spec.personal or access.spec.protocol == "demo":
        return dict(access.extra_body)
    if entries is None:
        entries = WITH_BODY.objects(access.spec.id)
    rows = {row.model.lower(): row.extra_body for row in entries}
    return merged(catalogue.find(rows, model) or {}, access.extra_body)


# The context window that is assumed for an unknown model, in tokens.
UNKNOWN_WINDOW = 16_384
# Estimates are rough: so much of the window stays free.
MARGIN = 0.1


def reading_budget(spec: ProviderSpec, model: str, wanted: int | None) -> int:
    """Return how many tokens a question may take, its history included, so that the answer fits as well."""
    entry = known(spec.id, model, stated(spec))
    window = entry.context_window or UNKNOWN_WINDOW
    limits = [limit for limit in (wanted, entry.max_output_tokens) if limit is not None]
    # Some models may write all that they can read: nobody would want them to read nothing for it.
    answer = min(*limits, window // 2) if limits else window // 4
    return int(window * (1 - MARGIN)) - answer
