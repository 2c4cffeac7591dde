"""Which answers are alive: each process holds one lease, renewed by a heartbeat."""

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from chat import faults
from chat.models import Message, Worker
from chatproject.prepared import Update

logger = logging.getLogger(__name__)

# How long a process may be silent before its answers count as abandoned.
LEASE = timedelta(seconds=12)
# While answers run, their process's lease gets about this old at most.
BEAT_SECONDS = 0.9
# A lease younger than this needs no renewal before an answer begins.
FRESH_SECONDS = 3
# Who has not reached the database for so long cannot tell another's silence from its own.
OUT_OF_TOUCH = LEASE - timedelta(seconds=2)

_BEAT = Update(lambda worker: (Worker.objects.filter(pk=worker), {"heartbeat_at": Now()}))

worker_id = uuid.uuid4()
_kept_at = float("-inf")
_touched_at: float | None = None
_judges_from = float("-inf")
_astray: set[UUID] = set()
# An open file, locked while this process serves an SQLite database.
_served: int | None = None


def keep(seconds: float = FRESH_SECONDS) -> None:
    """Renew this process's lease if it is older than this; within the transaction that starts an answer."""
    if time.monotonic() - _kept_at > seconds:
        renew()


def renew() -> None:
    """Write a heartbeat, by the database's clock: the machines' own may disagree."""
    now = time.monotonic()
    if not _BEAT.run(worker_id):
        Worker.objects.bulk_create([Worker(pk=worker_id, heartbeat_at=Now())], ignore_conflicts=True)
    transaction.on_commit(lambda: _kept(now))


def end_those_of_the_gone() -> None:
    """On SQLite, end all other leases if nobody else serves the database; called once, at the start.

    A process that has crashed says nothing, but its lock on a file beside the database ends with it.
    Elsewhere nobody can tell so soon who is gone from who is only silent: there, leases run out.
    """
    global _served
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or name.startswith((":", "file:")):
        return
    path = os.path.realpath(name)  # one lock, whatever links lead there
    try:
        # Who may open the database may open this, too.
        _served = os.open(
            f"{path}-served", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, os.stat(path).st_mode & 0o666
        )
        try:
            fcntl.flock(_served, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            _end_all_others()
        fcntl.flock(_served, fcntl.LOCK_SH)
    except OSError as exc:
        logger.warning("no lock beside the database (%s): never start a second process on it", exc.strerror)


def _end_all_others() -> None:
    others = Worker.objects.exclude(pk=worker_id)
    patience = float(connection.settings_dict["OPTIONS"].get("timeout", 5))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 1000")
        try:
            if others.exists():
                others.delete()
        except DatabaseError:
            # Somebody is writing for long. No start has to wait for that: leases run out by themselves.
            logger.warning("the leases of the processes before this one could not be ended")
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")


def _kept(moment: float) -> None:
    global _kept_at
    _kept_at = moment
    _touch()


def interrupt_abandoned() -> int:
    """Mark the running answers of processes that are gone; return how many there were.

    What had been kept of them stays. Never touches this process's own.
    """
    alive = Worker.objects.filter(pk=OuterRef("worker_id"), heartbeat_at__gte=Now() - LEASE)
    abandoned = Message.objects.running().exclude(worker_id=worker_id).filter(~Exists(alive))
    some = abandoned.exists()
    _touch()
    return _interrupt(abandoned) if some and time.monotonic() >= _judges_from else 0


def interrupt_astray(running: Collection[UUID]) -> int:
    """Mark what this process is said to run, and does not, the second time it is seen.

    A unit of work can fail after it was committed, so that what it has promised never
    begins. The first time, it may just be about to.
    """
    global _astray
    own = Message.objects.running().filter(worker_id=worker_id).values_list("id", flat=True)
    astray = set(own).difference(running)
    seen, _astray = _astray & astray, astray
    return _interrupt(Message.objects.running().filter(id__in=seen, worker_id=worker_id)) if seen else 0


def _interrupt(messages: QuerySet[Message]) -> int:
    return messages.update(status=Message.Status.INTERRUPTED, error_code=faults.INTERRUPTED)


def _touch() -> None:
    """Note that the database was reached, and whether that was impossible for a while.

    When it comes back after it was away, nobody's lease is fresh, and the first to look
    must not take all others for gone.
    """
    global _touched_at, _judges_from
    now = time.monotonic()
    if _touched_at is not None and now - _touched_at > OUT_OF_TOUCH.total_seconds():
        _judges_from = now + LEASE.total_seconds()
    _touched_at = now


def release() -> None:
    """Give up this process's lease; called when it has no running answer any more."""
    global _served
    Worker.objects.filter(pk=worker_id).delete()
    if _served is not None:
        os.close(_served)
        _served = None


def purge() -> None:
    """Forget the leases of processes long gone."""
    Worker.objects.filter(heartbeat_at__lt=Now() - timedelta(days=1)).delete()
