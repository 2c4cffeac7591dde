"""The streams that people read in this process, which end with the sign-in that opened them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from accounts.models import User
from accounts.sign_ins import SignIn
from chatproject.db import in_db


class OpenStream:
    """One stream, sent by the task that opened it."""

    __slots__ = ("_task", "is_signed_out", "seen", "sign_in")

    def __init__(self, sign_in: SignIn, task: "asyncio.Task[object]") -> None:
        self.sign_in = sign_in
        self._task = task
        self.is_signed_out = False
        self.seen: object = None  # the account as it was when the sign-in was last found to be good

    def end(self) -> None:
        """Have the task send the last event."""
        if not self.is_signed_out:
            self.is_signed_out = True
            self._task.cancel()


_open: set[OpenStream] = set()


@contextmanager
def opened(sign_in: SignIn | None) -> Iterator[OpenStream | None]:
    """Keep the current task's stream among the open ones; None where nobody has signed in for it."""
    task = asyncio.current_task()
    if sign_in is None or task is None:
        yield None
        return
    stream = OpenStream(sign_in, task)
    _open.add(stream)
    try:
        yield stream
    finally:
        _open.discard(stream)


async def end_signed_out() -> None:
    """End the streams whose sign-in is over: by a change of it, or with the account."""
    streams = list(_open)
    if streams:
        for stream in await in_db(_over, streams):
            if stream in _open:
                stream.end()


def _over(streams: list[OpenStream]) -> list[OpenStream]:
    rows = User.objects.filter(pk__in={stream.sign_in.user_id for stream in streams})
    fields = ("id", "password", "sign_out_count", "is_active", "kept_sign_in")
    users = {user.pk: user for user in rows.only(*fields)}
    return [stream for stream in streams if _is_over(stream, users.get(stream.sign_in.user_id))]


def _is_over(stream: OpenStream, user: User | None) -> bool:
    now = user and (user.password, user.sign_out_count, user.is_active)
    if now is not None and now == stream.seen:
        return False  # most often; then no hash has to be made
    stream.seen = now
    return stream.sign_in.is_over(user)
