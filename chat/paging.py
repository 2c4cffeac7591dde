"""Cursor pagination: a cursor says after which row to go on, so that a page costs the same anywhere."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

M = TypeVar("M", bound=Model)
P = TypeVar("P")


def page(
    request: Request,
    rows: QuerySet[M],
    *,
    after: Callable[[QuerySet[M], list[str]], QuerySet[M]],
    cursor_of: Callable[[M], list[str]],
    default: int,
    most: int,
) -> tuple[list[M], str | None]:
    """Return one page of `rows`, and the cursor of the next one.

    `cursor_of` gives the values that place a row; `after` keeps the rows behind
    them, raising `ValueError` or `IndexError` for values that it never gave.
    """
    limit = limit_of(request, default, most)
    rest = cursor_place(request, lambda values: after(rows, values))
    found = list((rows if rest is None else rest)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return found, encode_cursor(cursor_of(found[-1])) if more else None


def cursor_place(request: Request, read: Callable[[list[str]], P]) -> P | None:
    """Return what `read` makes of the values of the request's cursor, if it has one."""
    text = request.query_params.get("cursor")
    if not text:
        return None
    try:
        return read(_decode(text))
    except (ValueError, IndexError, OverflowError):
        raise ValidationError({"cursor": [_("This cursor is not valid.")]}) from None


def limit_of(request: Request, default: int, most: int) -> int:
    text = request.query_params.get("limit")
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValidationError({"limit": [_("Give a number from 1 to %(most)d.") % {"most": most}]})
    return int(text)


def encode_cursor(values: list[str]) -> str:
    return base64.urlsafe_b64encode("|".join(values).encode()).decode().rstrip("=")


def _decode(text: str) -> list[str]:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split("|")
    except (binascii.Error, UnicodeError) as exc:
        raise ValueError(text) from exc


def flag(request: Request, name: str) -> bool | None:
    """Return a yes-or-no parameter; `None` where it is not given."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return None
    values: dict[str, Any] = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValidationError({name: [_("Give true or false.")]})
    return bool(values[text.lower()])
