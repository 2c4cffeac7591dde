"""Reading request bodies."""

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser


class JSONParser(BaseParser):
    """Strict JSON; whatever is wrong with it, nesting included, is the sender's 400."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            data = json.loads(codecs.decode(stream.read(), "utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as exc:
            raise ParseError from exc
        if not isinstance(data, dict):
            raise ParseError
        return data


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
