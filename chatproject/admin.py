"""What every app's admin needs."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

# SQLite refuses patterns of more than 50,000 bytes, and nobody types one.
MAX_SEARCH_CHARS = 200


class ShortSearch:
    """Searches for the beginning of what was entered."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]  # a ModelAdmin's
            request, queryset, search_term[:MAX_SEARCH_CHARS]
        )
        return found
