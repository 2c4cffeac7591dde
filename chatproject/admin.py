"""What every app's admin needs."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

PLAIN_LOOKUPS = {
    "",
    "exact",
    "in",
    "isnull",
    "gt",
    "gte",
    "lt",
    "lte",
    "id__exact",
    "pk__exact",
    "year",
    "month",
    "day",
}
# SQLite refuses patterns of more than 50,000 bytes, and nobody types one.
MAX_SEARCH_CHARS = 200


class NamedLookups:
    """Filters by the fields, and the filters' own parameters, in `lookups` alone.

    Django takes any lookup of a model's own fields from the address: `?content__startswith=` tells a text
    letter by letter to somebody who may only list the rows.
    """

    lookups: frozenset[str] = frozenset()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        field, _, rest = lookup.partition("__")
        # Nothing behind a field leads to another table, but for the key of its own row.
        return field in self.lookups and rest in PLAIN_LOOKUPS


class ShortSearch:
    """Searches for the beginning of what was entered."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]  # a ModelAdmin's
            request, queryset, search_term[:MAX_SEARCH_CHARS]
        )
        return found
