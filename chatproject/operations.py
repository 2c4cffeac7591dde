"""What the operator's machinery asks: is it up, is it ready, what are the numbers."""

import asyncio
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

# Who probes waits a few seconds at most, far less than a request may wait for the database.
READY_SECONDS = 2


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process does."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 where the database, and Redis where it is set, answer too."""
    asks: dict[str, Callable[[], object]] = {"database": _ask_database}
    if settings.REDIS_URL:
        asks["redis"] = lambda: cache.get("readyz")
    answers = await asyncio.gather(*(_answers(ask) for ask in asks.values()))
    shown = {name: "ok" if good else "unavailable" for name, good in zip(asks, answers, strict=True)}
    return JsonResponse({"ready": all(answers), **shown}, status=200 if all(answers) else 503)


async def _answers(ask: Callable[[], object]) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await in_db(ask)
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
