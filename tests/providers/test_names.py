"""Looking names up, where name servers do not answer."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from threading import Event, Lock

import pytest

from providers import names
from providers.names import MAX_LOOKUPS, MAX_LOOKUPS_OF_A_DOMAIN, look_up, look_up_briefly


class NameServers:
    """Every name has an address, which those under `silent` domains are never told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = Event()
        self._lock = Lock()

    def __call__(self, host: str, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        with self._lock:
            self.asked.append(host)
        if "silent" in host:
            self.answer.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    made = NameServers()
    monkeypatch.setattr("providers.names.socket.getaddrinfo", made)
    yield made
    made.answer.set()
    _until(lambda: not names._running)


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_silent_servers_do_not_hold_up_other_names(servers):
    # From several domains, and more than the loop has threads for all else.
    hosts = [f"h{number}.silent{number % 9}.example.{number % 9}" for number in range(60)]
    hanging = [asyncio.create_task(look_up(host, seconds=30)) for host in hosts]
    await asyncio.sleep(0.1)

    for number in range(20):
        assert [found.address for found in await look_up(f"h{number}.sound.example", seconds=10)] == [
            "1.1.1.1"
        ]
    assert len(servers.asked) > 60
    # Reading a file, and whatever else needs one of the loop's own threads.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 10) == 1

    # Who gives up waiting frees no thread; who still wants to know is told by the same look-up.
    for task in hanging:
        task.cancel()
    assert (await asyncio.gather(*hanging, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    again = asyncio.create_task(look_up(hosts[0], seconds=30))
    await asyncio.sleep(0.1)
    assert servers.asked.count(hosts[0]) == 1
    servers.answer.set()
    with pytest.raises(socket.gaierror):
        await again


async def test_one_name_is_looked_up_once_whoever_asks(servers):
    waiting = [asyncio.create_task(look_up("a.silent.example", seconds=30)) for _ in range(50)]
    await asyncio.sleep(0.1)
    waiting[0].cancel()
    servers.answer.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert servers.asked == ["a.silent.example"]
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert {type(outcome) for outcome in outcomes[1:]} == {socket.gaierror}


async def test_the_names_of_one_domain_have_a_few_look_ups_only(servers):
    hanging = [asyncio.create_task(look_up(f"h{n}.silent.example", seconds=30)) for n in range(40)]
    await asyncio.sleep(0.2)
    assert len(servers.asked) == MAX_LOOKUPS_OF_A_DOMAIN
    with pytest.raises(OSError, match="in time"):
        await look_up("another.silent.example", seconds=0.2)
    assert await look_up("b.sound.example.org", seconds=10)

    # The rest wait their turn.
    servers.answer.set()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert len(servers.asked) == 40 + 1


async def test_there_are_only_so_many_threads(servers, monkeypatch):
    monkeypatch.setattr(names, "MAX_LOOKUPS", 5)
    assert MAX_LOOKUPS >= 10 * MAX_LOOKUPS_OF_A_DOMAIN
    hanging = [asyncio.create_task(look_up(f"silent{n}.example{n}", seconds=30)) for n in range(9)]
    await asyncio.sleep(0.2)

    assert len(servers.asked) == 5
    for task in hanging:
        task.cancel()


def test_a_brief_look_up_gives_up_at_once(servers):
    assert [found.address for found in look_up_briefly("sound.example", seconds=10)] == ["1.1.1.1"]
    since = time.monotonic()
    assert look_up_briefly("silent.example", seconds=0.1) == []
    assert time.monotonic() - since < 5


async def test_only_some_may_hold_a_thread_for_a_brief_look_up(servers):
    held = [
        asyncio.create_task(asyncio.to_thread(look_up_briefly, "silent.example", seconds=20)) for _ in "ab"
    ]
    await asyncio.sleep(0.2)

    assert look_up_briefly("sound.example", seconds=10) == []
    servers.answer.set()
    assert await asyncio.gather(*held) == [[], []]
    assert look_up_briefly("sound.example", seconds=10) != []
