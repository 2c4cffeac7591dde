"""What the operator's machinery asks: is it up, is it ready, what are the numbers."""

import os
import secrets
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from chatproject.db import in_db
from chatproject.errors import error_response


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 where the database, and Redis where it is set, answer too."""
    checks = await in_db(_checks)
    ready = all(checks.values())
    shown = {name: "ok" if good else "unavailable" for name, good in checks.items()}
    return JsonResponse({"ready": ready, **shown}, status=200 if ready else 503)


def _checks() -> dict[str, bool]:
    checks = {"database": _answers(_ask_database)}
    if settings.REDIS_URL:
        checks["redis"] = _answers(lambda: cache.get("readyz"))
    return checks


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except Exception:  # whatever it is, it is not ready
        return False
    return True


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Give the numbers to staff, or to whoever holds `METRICS_TOKEN`."""
    if (status := await in_db(_refusal, request)) is not None:
        return error_response(status)
    return HttpResponse(await in_db(_numbers), content_type=CONTENT_TYPE_LATEST)


def _refusal(request: HttpRequest) -> int | None:
    """Return the status of the refusal for whoever may not see the numbers."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme == "Bearer":
        if secrets.compare_digest(token.encode(), settings.METRICS_TOKEN.encode()):
            return None
    try:
        user = Request(request, authenticators=APIView().get_authenticators()).user
    except APIException:
        return 401
    if not user.is_authenticated:
        return 401
    return None if user.is_active and user.is_staff else 403


def _numbers() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
