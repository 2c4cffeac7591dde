"""Whether a provider would answer: asked as cheaply as it goes, with settings that need not be stored."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.request import Request

from chatproject import limits
from providers import services
from providers.addresses import origin
from providers.base import ChatMessage, ChatRequest, Finished, ReasoningDelta, TextDelta
from providers.errors import BrokenStream, ProviderError, ProviderTimeout, WrongAddress
from providers.models import ProviderConfig
from providers.registry import ProviderAccess, ProviderSpec, adapter_for
from providers.resolve import base_url_of, key_of, resolve
from providers.serializers import by_wire_name

logger = logging.getLogger(__name__)

# Each test makes this server call another one.
TEST_RATE = "20/m"
TEST_SECONDS = 20

# These list their models to anybody, so that only a question tells whether the key is right.
OPEN_LISTS = frozenset({"openrouter"})
# Faults that do not tell whether it is this kind of provider that answers.
_SAY_LITTLE = (ProviderError, WrongAddress, BrokenStream)


def count_test(request: HttpRequest | Request) -> None:
    """Count one test of somebody signed in; raises `Throttled`."""
    limits.count(request, group="provider-test", key=str(request.user.pk), rate=TEST_RATE)


def access_to_try(
    user: Any, spec: ProviderSpec, *, owner: Any, given: Mapping[str, str] | None = None
) -> ProviderAccess:
    """Return how `owner` (None: everybody) would reach a provider with what is stored and what is given.

    Raises as `resolve` does, or DRF's `ValidationError` by field.
    """
    row = ProviderConfig.objects.filter(user=owner, provider=spec.id).first()
    # Settings can be tried before they are switched on, which `resolve` would not let through.
    of_its_own = bool(given) or owner is None or (row is not None and (row.has_key or row.base_url != ""))
    if of_its_own and spec.protocol != "demo":
        return _put_together(spec, row, given or {})
    return resolve(user, spec.id)


def _put_together(spec: ProviderSpec, row: ProviderConfig | None, given: Mapping[str, str]) -> ProviderAccess:
    """A stored key only goes where it belongs."""
    stored_url = base_url_of(spec, row)
    base_url = (given["baseUrl"] or spec.base_url) if "baseUrl" in given else stored_url
    try:
        base_url = services.fitting(spec, base_url)
    except ValidationError as exc:
        raise by_wire_name(exc) from exc
    key = given.get("apiKey")
    if key is None and row is not None and row.has_key:
        if origin(base_url) != origin(stored_url):
            raise by_wire_name(ValidationError({"api_key": services.ENTER_KEY_AGAIN}))
        key = key_of(row, base_url)
    if not key and spec.requires_key:
        raise by_wire_name(ValidationError({"api_key": services.KEY_NEEDED}))
    model = (row.default_model if row else "") or spec.default_model
    return ProviderAccess(spec=spec, base_url=base_url, api_key=key or "", default_model=model)


async def probe(access: ProviderAccess) -> int:
    """Ask a provider and return after how many milliseconds it answered; raises `ProviderError`."""
    begun = time.perf_counter()
    async with asking(access, "a test", TEST_SECONDS):
        await _ask(access)
    return round((time.perf_counter() - begun) * 1000)


@asynccontextmanager
async def asking(access: ProviderAccess, what: str, seconds: float) -> AsyncGenerator[None, None]:
    """Bound what a provider may take, and note what it said for the operator."""
    try:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as exc:
            raise ProviderTimeout(f"no answer in {seconds} s") from exc
    except ProviderError as exc:
        logger.warning("%s, asked for %s: %s", access.spec.id, what, exc)
        raise


async def _ask(access: ProviderAccess) -> None:
    adapter = adapter_for(access)
    unlisted: ProviderError | None = None
    if access.spec.id not in OPEN_LISTS:
        try:
            await adapter.list_models()
            return
        except ProviderError as exc:
            # Some servers answer questions and have no list of models.
            if type(exc) not in _SAY_LITTLE or not access.default_model:
                raise
            unlisted = exc
    question = ChatRequest(
        model=access.default_model,
        messages=(ChatMessage("user", "Hi"),),
        temperature=None,
        max_output_tokens=16,
    )
    try:
        async with aclosing(adapter.stream(question)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta | ReasoningDelta | Finished):
                    return
    except ProviderError as exc:
        if isinstance(unlisted, WrongAddress) and type(exc) in _SAY_LITTLE:
            raise unlisted from exc
        raise
