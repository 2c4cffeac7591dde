"""Whether a provider would answer: asked as cheaply as it goes, with settings that need not be stored."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.request import Request

from chatproject import limits
from providers import services
from providers.base import ChatMessage, ChatRequest, Finished, ModelInfo, ReasoningDelta, TextDelta
from providers.errors import BrokenStream, EmptyAnswer, ProviderError, ProviderTimeout, WrongAddress
from providers.models import ProviderConfig
from providers.registry import ProviderAccess, adapter_for
from providers.resolve import ProviderNotConfigured, ProviderUnknown, access_of_row, resolve
from providers.serializers import by_wire_name
from providers.services import Changes

logger = logging.getLogger(__name__)

# Each test makes this server call another one.
TEST_RATE = "20/m"
TEST_SECONDS = 20

# These list their models to anybody, so that only a question tells whether the key is right.
OPEN_LISTS = frozenset({"openrouter"})
# Faults that do not tell whether it is this kind of provider that answers.
_SAY_LITTLE = (ProviderError, WrongAddress, BrokenStream, EmptyAnswer)


def count_test(request: HttpRequest | Request) -> None:
    """Count one test of somebody signed in; raises `Throttled`."""
    limits.count(request, group="provider-test", key=str(request.user.pk), rate=TEST_RATE)


def access_to_try(user: Any, provider: str, *, owner: Any, given: Changes | None = None) -> ProviderAccess:
    """Return how `owner` (None: everybody) would reach a provider with what is stored and what is given.

    Raises as `resolve` does, or DRF's `ValidationError` by field.
    """
    stored = ProviderConfig.objects.filter(user=owner, provider=provider).first()
    row = stored or ProviderConfig(user=owner, provider=provider)
    if row.spec is None or (row.is_server and not (stored or given or owner)):
        raise ProviderUnknown
    # Settings can be tried before they are switched on, which `resolve` would not let through.
    of_its_own = given is not None or owner is None or row.has_secrets or row.base_url != ""
    if of_its_own and row.spec.protocol != "demo" and not (owner and _leans_on_shared(row, given)):
        return _put_together(row, given or Changes())
    try:
        access = resolve(user, provider)
    except ProviderNotConfigured:
        if given is None:
            raise
        return _put_together(row, given)
    return replace(access, default_model=(given and given.default_model) or access.default_model)


def _leans_on_shared(row: ProviderConfig, given: Changes | None) -> bool:
    """Tell whether there is neither a key nor an address of one's own, so that shared settings are used."""
    if row.spec is None or not row.spec.requires_key or row.has_secrets or row.base_url:
        return False
    return given is None or not (given.api_key or given.base_url or given.headers)


def _put_together(row: ProviderConfig, given: Changes) -> ProviderAccess:
    """Try what is given on a row that is never saved, by the rules that hold when it is."""
    try:
        services.alter(row, given)
    except ValidationError as exc:
        raise by_wire_name(exc) from exc
    spec = row.spec
    if spec is None:
        raise ProviderUnknown
    if spec.requires_key and not row.has_key:
        raise by_wire_name(ValidationError({"api_key": services.KEY_NEEDED}))
    return access_of_row(row, spec)


@dataclass(frozen=True, slots=True)
class Tested:
    """How long a provider took to answer, and the models it lists."""

    milliseconds: int
    models: list[ModelInfo]


async def probe(access: ProviderAccess) -> Tested:
    """Ask a provider; raises `ProviderError`."""
    begun = time.perf_counter()
    async with asking(access, "a test", TEST_SECONDS):
        models = await _ask(access)
    return Tested(round((time.perf_counter() - begun) * 1000), models)


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


async def _ask(access: ProviderAccess) -> list[ModelInfo]:
    """Ask for the models and, where that does not tell whether the settings are right, a question."""
    adapter = adapter_for(access)
    unlisted: ProviderError | None = None
    models: list[ModelInfo] = []
    try:
        models = await adapter.list_models()
        if access.spec.id not in OPEN_LISTS or not access.default_model:
            return models
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
        extra_body=access.extra_body,
    )
    try:
        async with aclosing(adapter.stream(question)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta | ReasoningDelta | Finished):
                    break
    except ProviderError as exc:
        if isinstance(unlisted, WrongAddress) and type(exc) in _SAY_LITTLE:
            raise unlisted from exc
        raise
    return models
