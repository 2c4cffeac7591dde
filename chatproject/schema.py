"""The OpenAPI document and the page that shows it."""

import functools
import threading
from typing import Any

from django.http import HttpResponse
from django.urls import get_script_prefix
from django.utils import translation
from django.utils.translation import gettext as _
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

import accounts.openapi  # noqa: F401  (registers the two ways to be somebody)
import chat.openapi
from accounts.refusals import CsrfFailed, OtherUser
from chatproject.api import AsyncAPIView
from chatproject.errors import DRF_TEXTS, PLAIN, Text
from chatproject.openapi import DESCRIPTIONS, InvalidInput, example_name
from chatproject.openapi_versions import VERSIONS, in_version, merge_kinds_of_nothing

Json = dict[str, Any]

# Stands for the address that the request for the document came to.
ANY_SERVER = "https://chat.example"

_one_at_a_time = threading.Lock()


class SchemaView(AsyncAPIView):
    """The description of this API: `?version=3.1` or `3.2`, as JSON or, with `?format=yaml`, as YAML."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    revalidates = True
    renderer_classes = (
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer,
        OpenApiYamlRenderer2,
    )

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        version = request.query_params.get("version", "3.1")
        if version not in VERSIONS:
            text = _("Choose one of {choices}.").format(choices=", ".join(VERSIONS))
            raise ValidationError({"version": [text]})
        # Describing everything takes a while, and anybody may ask: once is enough.
        with _one_at_a_time:
            content = _document(request.accepted_renderer.format, version)
        here = request.build_absolute_uri(get_script_prefix()).rstrip("/")
        content = content.replace(ANY_SERVER.encode(), here.encode())
        return HttpResponse(content, content_type=f"{request.accepted_media_type}; charset=utf-8")


@functools.cache
def _document(form: str, version: str) -> bytes:
    renderer = OpenApiYamlRenderer() if form == "yaml" else OpenApiJsonRenderer()
    with translation.override("en"):  # the language of all its descriptions
        document = SchemaGenerator().get_schema(request=None, public=True)
    return bytes(renderer.render(in_version(document, version)))


class DocsView(SpectacularSwaggerSplitView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
    url_name = "schema"
    template_name = "api_docs.html"

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Tell the methods; what DRF tells besides cannot be shown by a template."""
        return HttpResponse(status=204, headers={"Allow": "GET, HEAD, OPTIONS"})


# --- what is true of all operations ------------------------------------------------------------------------


def complete(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Add what drf-spectacular cannot know; called for every document (`POSTPROCESSING_HOOKS`)."""
    for method, operation in (item for path in result["paths"].values() for item in path.items()):
        # Without one of its own, an operation is summed up by the first sentence about it.
        operation.setdefault("summary", operation.get("description", "").split(". ")[0].removesuffix("."))
        _add_common_refusals(method, operation)
        parameters = operation.setdefault("parameters", [])
        parameters.append({"$ref": "#/components/parameters/AcceptLanguage"})
        for status, response in operation["responses"].items():
            _add_headers(status, response, is_limited="429" in operation["responses"])
            _describe_stream(response)
        if operation["operationId"] in REVALIDATED:
            _add_revalidation(operation)
        _add_links(operation)
    merge_kinds_of_nothing(result)
    result["servers"] = [{"url": ANY_SERVER}]
    result["paths"] |= OTHER_PATHS
    components = result["components"]
    for name in ALWAYS_WHOLE:
        schema = components["schemas"][name]
        schema["required"] = sorted(schema["properties"])
    components["schemas"]["Readiness"] = READINESS
    components["parameters"] = {"AcceptLanguage": ACCEPT_LANGUAGE, "IfNoneMatch": IF_NONE_MATCH}
    components["headers"] = HEADERS
    components["securitySchemes"]["metricsToken"] = METRICS_TOKEN
    return result


def _add_common_refusals(method: str, operation: Json) -> None:
    if any(operation.get("security", [])):
        _add_refusal(operation, 401, *DRF_TEXTS["not_authenticated"])
        _add_refusal(operation, 401, *DRF_TEXTS["authentication_failed"])
        _add_refusal(operation, 409, OtherUser.code, OtherUser.text)
        if method != "get":
            _add_refusal(operation, 403, CsrfFailed.code, CsrfFailed.text)
    if "requestBody" in operation:
        _add_refusal(operation, 400, InvalidInput.code, InvalidInput.text)
        _add_refusal(operation, 400, *DRF_TEXTS["parse_error"])
        _add_refusal(operation, 408, *PLAIN[408])
        _add_refusal(operation, 413, *PLAIN[413])
        _add_refusal(operation, 415, *DRF_TEXTS["unsupported_media_type"])
    _add_refusal(operation, 406, *DRF_TEXTS["not_acceptable"])
    _add_refusal(operation, 500, *PLAIN[500])


def _add_refusal(operation: Json, status: int, code: str, text: Text) -> None:
    refusal = _refusal(status, code, text)
    response = operation["responses"].setdefault(str(status), refusal)
    examples = refusal["content"]["application/json"]["examples"]
    response["content"]["application/json"]["examples"] |= examples


def _refusal(status: int, code: str, text: Text) -> Json:
    examples = {example_name(code): {"summary": code, "value": {"error": text, "code": code}}}
    content = {"schema": {"$ref": "#/components/schemas/ErrorResponse"}, "examples": examples}
    return {"description": DESCRIPTIONS[status], "content": {"application/json": content}}


def _add_headers(status: str, response: Json, *, is_limited: bool) -> None:
    names = [
        name
        for name, statuses in (("Retry-After", {"429", "503"}), ("WWW-Authenticate", {"401"}))
        if status in statuses
    ]
    if is_limited and (status.startswith("2") or status == "429"):
        names += RATE_LIMIT_HEADERS
    for name in names:
        response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}


def _add_revalidation(operation: Json) -> None:
    operation["parameters"].append({"$ref": "#/components/parameters/IfNoneMatch"})
    etag = {"ETag": {"$ref": "#/components/headers/ETag"}}
    operation["responses"]["200"].setdefault("headers", {}).update(etag)
    operation["responses"]["304"] = {"description": "Nothing has changed.", "headers": etag}


def _describe_stream(response: Json) -> None:
    """Describe a stream by its events: `itemSchema` is OpenAPI's word for it, since 3.2."""
    stream = response.get("content", {}).get("text/event-stream")
    if stream is not None:
        stream["itemSchema"] = stream.pop("schema")
        stream["examples"] = {"Answer": {"serializedValue": chat.openapi.STREAM_EXAMPLE}}


def _add_links(operation: Json) -> None:
    """Say which of its answers' values other operations take."""
    if link := LINKS.get(operation["operationId"]):
        status, parameter, value, targets = link
        operation["responses"][status]["links"] = {
            target: {"operationId": target, "parameters": {parameter: value}} for target in targets
        }


LINKS = {
    "createSession": (
        "201",
        "sessionId",
        "$response.body#/id",
        (
            "getSession",
            "updateSession",
            "deleteSession",
            "renameSession",
            "listMessages",
            "stopAnswer",
            "resumeAnswer",
            "regenerateAnswer",
            "chooseBranch",
        ),
    ),
    "listMessages": (
        "200",
        "messageId",
        "$response.body#/messages/0/id",
        ("editMessage", "continueAnswer", "deleteMessage"),
    ),
}
# Their serializers also take changes, in which most may be left out; what is given has all of it.
ALWAYS_WHOLE = ("Message", "Session", "User")
ACCEPT_LANGUAGE: Json = {
    "name": "Accept-Language",
    "in": "header",
    "description": "The language of texts for people: `zh-hans` or `en`. Without it, the server's own.",
    "schema": {"type": "string"},
}
RATE_LIMIT_HEADERS: Json = {
    "X-RateLimit-Limit": {
        "description": "How many of these requests are let in within the present span of time.",
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Remaining": {"description": "How many are left.", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {
        "description": "Seconds until the count starts again.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
# Their views have `revalidates`.
REVALIDATED = {"listSessions", "getSession", "listMessages", "listModes", "listProviders", "listModels"}
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of what you have: where it has not changed, the status is 304.",
    "schema": {"type": "string"},
}
HEADERS: Json = RATE_LIMIT_HEADERS | {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "ETag": {"description": "Changes with the body.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "What would be accepted.", "schema": {"type": "string"}},
}
METRICS_TOKEN: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "The server's `METRICS_TOKEN`.",
}

# --- what is described by hand: views that are not DRF's ---------------------------------------------------

_STATE: Json = {"type": "string", "enum": ["ok", "unavailable"]}
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
            "503": {
                "description": "Not all of them do.",
                "content": {"application/json": {"schema": _READINESS}},
            },
        },
    ),
    "/metrics": _get(
        "getMetrics",
        "Numbers for Prometheus",
        {
            "200": _content("Prometheus' text format.", "text/plain"),
            "401": _refusal(401, *PLAIN[401]),
            "403": _refusal(403, *PLAIN[403]),
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
                "schema": {"type": "string", "enum": ["json", "yaml"], "default": "json"},
            },
            {
                "name": "version",
                "in": "query",
                "description": "The version of OpenAPI.",
                "schema": {"type": "string", "enum": [*VERSIONS], "default": "3.1"},
            },
            {"$ref": "#/components/parameters/AcceptLanguage"},
        ],
    ),
    "/api/docs": _get(
        "getDocs", "This description, to read and to try", {"200": _content("A page.", "text/html")}
    ),
}
