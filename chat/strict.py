"""Bodies that are refused for a field that nobody knows: to leave it out would look like a success."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from providers.text import shown_name

# How many unknown names an error tells.
MOST_NAMES = 20


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not have, by name. What is only given back may be sent along."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        refused = {shown_name(str(name)): [_("There is no such field.")] for name in unknown[:MOST_NAMES]}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            if not refused or not isinstance(exc.detail, dict):
                raise
            raise serializers.ValidationError({**exc.detail, **refused}) from exc
        if refused:
            raise serializers.ValidationError(refused)
        return value


class Flag(serializers.BooleanField):
    """True or false, as JSON has them; left out it is what the field says, also where there is no body."""

    default_empty_html = serializers.empty

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data
