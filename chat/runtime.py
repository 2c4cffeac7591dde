"""What lives as long as the process: the writer's rhythm, the housekeeping, and the way down."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError

from chat import admission, checkpoints, endings, leases, services, streams
from chat.answers import INTERRUPTED, Outcome, RunningAnswer, running
from chatproject.db import in_db
from providers import transport
from providers.registry import adapter_for

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5  # how soon a stop from another process is heard
TEXT_SECONDS = 1  # how often a text is kept: what a crash may cost
TEXT_TICKS = 4  # how often in that time we look which ones are due
SWEEP_TICKS = 10
PURGE_TICKS = 1200
# What a database that is away raises; anything else would be raised again and again.
DATABASE_ERRORS = (OperationalError, InterfaceError)
# A save that fails because the database is away is tried for so long.
SAVE_SECONDS = 300
# A process that was told to end is gone so long after its grace, whatever hangs.
LAST_SECONDS = 9

_rhythm: list[asyncio.Task[None]] = []
_drain: asyncio.Task[None] | None = None
draining = False


def begin(turn: services.Turn) -> RunningAnswer:
    """Start the answer of a turn that has been opened. Only on the event loop."""
    answer = RunningAnswer(
        turn.opening,
        reasoning=turn.reasoning,
        content=turn.content,
        earlier=turn.usage,
        served_model=turn.served_model,
        resets=turn.resets,
    )

    async def save(answer: RunningAnswer, outcome: Outcome) -> bool:
        end = endings.ended(answer, outcome, turn.request)
        try:
            return await persist(lambda: endings.close_turn(end))
        except Exception:
            # Whatever could not be stored, the message must not look as if it still ran.
            await persist(lambda: endings.fail_turn(answer.id))
            raise

    answer.begin(
        lambda: adapter_for(turn.access), turn.request, save=save, seconds=settings.PROVIDER_TOTAL_TIMEOUT
    )
    if streams.leaving:
        # Admitted just before the end, and begun just after it.
        answer.stop(INTERRUPTED)
    return answer


async def persist(work: Callable[[], bool]) -> bool:
    """Run a write that must happen, again and again while the database is away."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SAVE_SECONDS
    pause = 0.1
    while True:
        try:
            return await in_db(work)
        except DATABASE_ERRORS as exc:
            if loop.time() > give_up:
                raise
            logger.warning("an answer could not be saved yet: %s", type(exc).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2)


async def start(
    *, purges: Iterable[Callable[[], object]] = (), beats: Iterable[Callable[[], Awaitable[None]]] = ()
) -> None:
    """Begin the rhythm of this process.

    `purges` are what others want done now and then, and `beats` as often as stops are heard.
    """
    global draining
    draining = streams.leaving = False
    transport.configure(
        transport.Limits(
            connect_seconds=settings.PROVIDER_CONNECT_TIMEOUT,
            idle_seconds=settings.PROVIDER_IDLE_TIMEOUT,
            total_seconds=settings.PROVIDER_TOTAL_TIMEOUT,
            allow_private=settings.ALLOW_PRIVATE_PROVIDER_HOSTS,
        )
    )
    await in_db(leases.end_those_of_the_gone)
    await in_db(leases.interrupt_abandoned)
    others = [_every_tick(beat) for beat in beats]
    _rhythm[:] = [asyncio.create_task(beat) for beat in (_tick(purges), _keep_texts(), _ping(), *others)]
    _drain_on_sigterm()


async def stop() -> None:
    """End what still runs, in order: the answers, the writer, the provider client."""
    await drain(grace=0)
    for task in _rhythm:
        task.cancel()
    await asyncio.gather(*_rhythm, return_exceptions=True)
    try:
        await in_db(leases.release)
    except DATABASE_ERRORS:
        logger.warning("the lease could not be given up; it will run out by itself")
    await transport.close_shared()


async def drain(*, grace: float) -> None:
    """Start no more answers, let the running ones end within `grace` seconds, and interrupt the rest.

    Who follows an answer of another process may do so for as long, too.
    """
    global draining
    draining = True
    if running:
        logger.info("waiting for %d running answers", len(running))
        await _ended(grace)
    streams.leaving = True
    for answer in list(running.values()):
        answer.stop(INTERRUPTED)
    await _ended(3)
    for answer in list(running.values()):
        # The database hangs. The save goes on behind; those who read must hear of it while they can.
        answer.end(INTERRUPTED)


async def _ended(seconds: float) -> None:
    waits = [asyncio.ensure_future(answer.ended.wait()) for answer in running.values()]
    if waits:
        _, pending = await asyncio.wait(waits, timeout=seconds)
        for wait in pending:
            wait.cancel()


def _drain_on_sigterm() -> None:
    """Hook into the server's own SIGTERM handler: its grace ends streams, but saves nothing.

    Lifespan shutdown would be too late, it comes after the connections were cut.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def hook(earlier: Any) -> Callable[[int, FrameType | None], None]:
        def on_signal(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(_begin_drain)
            if callable(earlier):
                earlier(number, frame)

        return on_signal

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hook(signal.getsignal(number)))


def _begin_drain() -> None:
    global _drain
    if _drain is None:
        deadline = threading.Timer(settings.CHAT_SHUTDOWN_GRACE_SECONDS + LAST_SECONDS, _give_up)
        deadline.daemon = True
        deadline.start()
        _drain = asyncio.get_running_loop().create_task(drain(grace=settings.CHAT_SHUTDOWN_GRACE_SECONDS))


def _give_up() -> None:
    """End this process now: a backstop, should a thread that Python waits for never end."""
    logger.critical("the process could not end in time, and was ended; %d answers were running", len(running))
    os._exit(1)


async def _tick(purges: Iterable[Callable[[], object]]) -> None:
    """Keep the lease, hear stops, and now and then tidy up."""
    number = 0
    supervisor = multiprocessing.parent_process()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        number += 1
        if _drain is None and supervisor is not None and not supervisor.is_alive():
            logger.error("the process that watches over this one is gone; ending with it")
            os.kill(os.getpid(), signal.SIGTERM)
        async with _tried():
            await checkpoints.keep_lease()
        if number % SWEEP_TICKS == 0:
            async with _tried():
                if count := await in_db(leases.interrupt_abandoned):
                    logger.warning("%d answers of a process that is gone were interrupted", count)
                if count := await in_db(leases.interrupt_astray, frozenset(running)):
                    logger.error("%d answers that nobody was writing were interrupted", count)
        if number % PURGE_TICKS == 0:
            async with _tried():
                await in_db(_purge, purges)


async def _every_tick(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        async with _tried():
            await work()


async def _keep_texts() -> None:
    while True:
        await asyncio.sleep(TEXT_SECONDS / TEXT_TICKS)
        async with _tried():
            # Whose time comes a moment after this is not left to the next look.
            await checkpoints.keep_texts(TEXT_SECONDS * (1 - 0.5 / TEXT_TICKS))


@asynccontextmanager
async def _tried() -> AsyncIterator[None]:
    """Let no fault end the rhythm: the next beat tries again."""
    try:
        yield
    except DATABASE_ERRORS as exc:
        logger.warning("the database does not answer: %s", type(exc).__name__)
    except Exception:
        logger.exception("keeping the running answers failed")


async def _ping() -> None:
    """Ping idle readers; nothing here waits for the database, which may be away."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        _ping_idle(loop.time())


def _ping_idle(now: float) -> None:
    for answer in list(running.values()):
        answer.ping_idle(now)


def _purge(others: Iterable[Callable[[], object]]) -> None:
    for purge in (leases.purge, admission.purge_idempotency_keys, *others):
        purge()
