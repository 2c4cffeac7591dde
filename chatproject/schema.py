"""The OpenAPI document and the page that shows it."""

import functools
import threading
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from django.utils.translation import get_language
from django.utils.translation import override as in_language
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

import accounts.openapi  # noqa: F401  (registers the two ways to be somebody)
import chat.openapi
from accounts.refusals import CsrfFailed
from chatproject.api import AsyncAPIView
from chatproject.errors import DRF_TEXTS, PLAIN, Text
from chatproject.openapi import DESCRIPTIONS, InvalidInput, example_name

Json = dict[str, Any]

_one_at_a_time = threading.Lock()


class SchemaView(AsyncAPIView):
    """The description of this API, as JSON or, with `?format=yaml`, as YAML."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    renderer_classes = (
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer,
        OpenApiYamlRenderer2,
    )

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        # Describing everything takes seconds of a processor, and anybody may ask.
        with _one_at_a_time:
            content = _document(get_language(), type(renderer))
        return HttpResponse(content, content_type=f"{renderer.media_type}; charset=utf-8")


@functools.lru_cache(maxsize=16)
def _document(language: str, renderer: type[Any]) -> bytes:
    with in_language(language):
        return bytes(renderer().render(SchemaGenerator().get_schema(request=None, public=True)))


class DocsView(SpectacularSwaggerSplitView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    url_name = "schema"
    template_name = "api_docs.html"


# --- what is true of all operations ------------------------------------------------------------------------


def complete(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Add what drf-spectacular cannot know; called for every document (`POSTPROCESSING_HOOKS`)."""
    for method, operation in _operations(result):
        _add_common_refusals(method, operation)
        parameters = operation.setdefault("parameters", [])
        parameters.append({"$ref": "#/components/parameters/AcceptLanguage"})
    result["paths"] |= OTHER_PATHS
    for _, operation in _operations(result):
        for status, response in operation["responses"].items():
            _add_headers(status, response)
            _describe_stream(response)
    components = result["components"]
    components["schemas"]["Readiness"] = READINESS
    components["parameters"] = {"AcceptLanguage": ACCEPT_LANGUAGE}
    components["headers"] = HEADERS
    components["securitySchemes"]["metricsToken"] = METRICS_TOKEN
    return result


def _operations(result: Json) -> Iterator[tuple[str, Json]]:
    for operations in result["paths"].values():
        yield from operations.items()


def _add_common_refusals(method: str, operation: Json) -> None:
    if any(operation.get("security", [])):
        _add_refusal(operation, 401, *DRF_TEXTS["not_authenticated"])
        _add_refusal(operation, 401, *DRF_TEXTS["authentication_failed"])
        if method != "get":
            _add_refusal(operation, 403, CsrfFailed.code, CsrfFailed.text)
    if "requestBody" in operation:
        _add_refusal(operation, 400, InvalidInput.code, InvalidInput.text)
        _add_refusal(operation, 400, *DRF_TEXTS["parse_error"])
        _add_refusal(operation, 413, *PLAIN[413])
        _add_refusal(operation, 415, *DRF_TEXTS["unsupported_media_type"])
    _add_refusal(operation, 406, *DRF_TEXTS["not_acceptable"])
    _add_refusal(operation, 500, *PLAIN[500])


def _add_refusal(operation: Json, status: int, code: str, text: Text) -> None:
    response = operation["responses"].setdefault(str(status), _refusal(status))
    example = {"value": {"error": text, "code": code}}
    response["content"]["application/json"]["examples"].setdefault(example_name(code), example)


def _refusal(status: int) -> Json:
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "examples": {}}
    return {"description": DESCRIPTIONS[status], "content": {"application/json": content}}


def _add_headers(status: str, response: Json) -> None:
    for name, statuses in (("Retry-After", {"429", "503"}), ("WWW-Authenticate", {"401"})):
        if status in statuses:
            response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}


def _describe_stream(response: Json) -> None:
    """Describe a stream by its events: `itemSchema` is OpenAPI's word for it, since 3.2."""
    stream = response.get("content", {}).get("text/event-stream")
    if stream is not None:
        stream["itemSchema"] = stream.pop("schema")
        stream["examples"] = {"Answer": {"serializedValue": chat.openapi.STREAM_EXAMPLE}}


ACCEPT_LANGUAGE: Json = {
    "name": "Accept-Language",
    "in": "header",
    "description": "The language of texts for people: `zh-hans` or `en`. Without it, the server's own.",
    "schema": {"type": "string"},
}
HEADERS: Json = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "What would be accepted.", "schema": {"type": "string"}},
}
METRICS_TOKEN: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "The server's `METRICS_TOKEN`.",
}

# --- what is described by hand: views that are not DRF's ---------------------------------------------------

_STATE: Json = {"enum": ["ok", "unavailable"]}
READINESS: Json = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}, "database": _STATE, "redis": _STATE},
    "required": ["ready", "database"],
}


def _get(operation_id: str, summary: str, responses: Json, **more: Any) -> Json:
    described = {"operationId": operation_id, "tags": ["Operations"], "summary": summary}
    return {"get": described | {"responses": responses, "security": [{}]} | more}


def _content(description: str, media_type: str, schema: Json | None = None) -> Json:
    return {"description": description, "content": {media_type: {"schema": schema or {"type": "string"}}}}


_READINESS: Json = {"$ref": "#/components/schemas/Readiness"}
OTHER_PATHS: Json = {
    "/healthz": _get(
        "getHealth", "Whether the process is up", {"200": _content("It is: `ok`.", "text/plain")}
    ),
    "/readyz": _get(
        "getReadiness",
        "Whether the database and, where one is set, Redis answer",
        {
            "200": _content("They do.", "application/json", _READINESS),
            "503": {"description": "Not all of them do.", "content": {"application/json": {"schema": _READINESS}}},
        },
    ),
    "/metrics": _get(
        "getMetrics",
        "Numbers for Prometheus",
        {
            "200": _content("Prometheus' text format.", "text/plain"),
            "403": _refusal(403),
        },
        security=[{"metricsToken": []}, {"bearer": []}, {"sessionCookie": []}],
        description="For staff, or with the server's `METRICS_TOKEN`.",
    ),
    "/api/schema": _get(
        "getSchema",
        "This description",
        {
            "200": {
                "description": "An OpenAPI document.",
                "content": {
                    media_type: {"schema": {"type": "object"}}
                    for media_type in ("application/json", "application/yaml")
                },
            }
        },
        parameters=[
            {
                "name": "format",
                "in": "query",
                "schema": {"enum": ["json", "yaml"], "default": "json"},
            },
            {"$ref": "#/components/parameters/AcceptLanguage"},
        ],
    ),
    "/api/docs": _get(
        "getDocs", "This description, to read and to try", {"200": _content("A page.", "text/html")}
    ),
}
