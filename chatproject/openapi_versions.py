"""The API description in the versions of OpenAPI that clients are generated from.

It is written in 3.2, the first version that can describe the events of a stream. Most generators read 3.1 at
most, and not all of that: in 3.1 it is said in words that they understand.
"""

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

VERSIONS = {"3.1": "3.1.0", "3.2": "3.2.0"}

STREAM_TEXT: Json = {
    "type": "string",
    "description": "Server-sent events. The `data` of each is a `StreamEvent` in JSON.",
}
BLANK: Json = {"type": "string", "maxLength": 0}
BLANK_ENUM = {"$ref": "#/components/schemas/BlankEnum"}
NULL_ENUM = {"$ref": "#/components/schemas/NullEnum"}


def in_version(document: Json, version: str) -> Json:
    """Return the document in another version; the given one is left as it is."""
    if version == "3.2":
        return document
    document = copy.deepcopy(document)
    document["openapi"] = VERSIONS[version]
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                _describe_stream_as_text(response.get("content", {}))
    _walk(document, _enumerate_constant)
    return document


def _describe_stream_as_text(content: Json) -> None:
    """Describe a stream by its text, and after JSON.

    Generators make a model of the first media type that they know: of the whole answer, where it can be had.
    """
    if content.pop("text/event-stream", None):
        content["text/event-stream"] = {"schema": STREAM_TEXT}


def _enumerate_constant(node: Json) -> None:
    """Say a constant as an enumeration: many generators know no other discriminator of a union."""
    if isinstance(node.get("const"), str):
        node["enum"] = [node.pop("const")]


def merge_kinds_of_nothing(document: Json) -> None:
    """Describe a text that may be empty as one text, not as a choice, and null as the type that it is."""
    schemas = document["components"]["schemas"]

    def merge(node: Json) -> None:
        if node == NULL_ENUM:
            node.clear()
            node["type"] = "null"
        choice = node.get("oneOf")
        if not isinstance(choice, list) or len(choice) != 2:
            return
        text, blank = choice
        if blank == BLANK:
            del node["oneOf"]
            # An empty text has no format and is shorter than any.
            node |= {name: value for name, value in text.items() if name not in ("format", "minLength")}
        elif blank == BLANK_ENUM:
            del node["oneOf"]
            node |= text
            values = _resolve(schemas, text)["enum"]
            values += [] if "" in values else [""]

    _walk(document, merge)
    for name in ("BlankEnum", "NullEnum"):
        schemas.pop(name, None)


def _resolve(schemas: Json, reference: Json) -> Json:
    found: Json = schemas[reference["$ref"].rpartition("/")[2]]
    return found


def _walk(node: Any, visit: Callable[[Json], None]) -> None:
    if isinstance(node, dict):
        visit(node)
        for key, value in node.items():
            if key not in ("example", "examples"):
                _walk(value, visit)
    elif isinstance(node, list):
        for item in node:
            _walk(item, visit)
