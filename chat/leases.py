"""Which answers are alive: each process holds one lease, renewed by a heartbeat."""

import time
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from chat import faults
from chat.models import Message, Worker

# How long a process may be silent before its answers count as abandoned.
LEASE = timedelta(seconds=12)
# A lease younger than this needs no renewal before an answer begins.
FRESH_SECONDS = 3

worker_id = uuid.uuid4()
_kept_at = float("-inf")


def keep() -> None:
    """Make sure that this process's lease is fresh, within the transaction that starts an answer."""
    if time.monotonic() - _kept_at > FRESH_SECONDS:
        renew()


def renew() -> None:
    """Write a heartbeat, by the database's clock: the machines' own may disagree."""
    now = time.monotonic()
    if not Worker.objects.filter(pk=worker_id).update(heartbeat_at=Now()):
        Worker.objects.bulk_create([Worker(pk=worker_id, heartbeat_at=Now())], ignore_conflicts=True)
    transaction.on_commit(lambda: _kept(now))


def _kept(moment: float) -> None:
    global _kept_at
    _kept_at = moment


def interrupt_abandoned() -> int:
    """Mark the running answers of processes that are gone; return how many there were.

    What had been kept of them stays. Never touches this process's own.
    """
    alive = Worker.objects.filter(pk=OuterRef("worker_id"), heartbeat_at__gte=Now() - LEASE)
    abandoned = Message.objects.running().exclude(worker_id=worker_id).filter(~Exists(alive))
    return abandoned.update(status=Message.Status.INTERRUPTED, error_code=faults.INTERRUPTED)


def release() -> None:
    """Give up this process's lease; called when it has no running answer any more."""
    Worker.objects.filter(pk=worker_id).delete()


def purge() -> None:
    """Forget the leases of processes long gone."""
    Worker.objects.filter(heartbeat_at__lt=Now() - timedelta(days=1)).delete()
