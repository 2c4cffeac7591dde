"""The guarded transport, against a server that does what a provider should not."""

import asyncio
import gzip
import json
import logging
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from providers import transport
from providers.errors import (
    AddressRefused,
    AnswerTooLarge,
    BrokenStream,
    InvalidCredentials,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    WrongAddress,
)
from providers.inflating import inflated
from providers.names import Answer
from providers.transport import GuardedTransport, new_client, stream_events, stream_lines

from .reading import batches
from .wire_server import plain, replay, serving

HEADERS = {"authorization": "Bearer secret-key-1234"}


async def ask(url, client=None, headers=HEADERS):
    events = []
    async with aclosing(batches(stream_events(client, url, headers=headers, body={"q": "é"}))) as found:
        async for batch in found:
            events += [event.data for event in batch]
    return events


async def failure(url, **kwargs) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(url, **kwargs)
    return caught.value


@pytest.fixture
def resolve_to(monkeypatch):
    def set_(*rounds):
        """Let every name have the first list of addresses at first, the next one then, and so on."""
        left = list(rounds)

        def getaddrinfo(host, port, **kwargs):
            addresses = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr("providers.names.socket.getaddrinfo", getaddrinfo)

    return set_


# --- What is asked --------------------------------------------------------------------------------------


async def test_the_request_says_what_it_has_to_and_no_more():
    async with serving(replay([b"data: 1\n\n"])) as server:
        assert await ask(f"{server.url}/v1/x") == [b"1"]

    request = server.requests[0]
    assert request.json == {"q": "é"}
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert request.headers["authorization"] == "Bearer secret-key-1234"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "chat-backend"
    assert "cookie" not in request.headers


async def test_a_cookie_set_for_one_user_does_not_go_out_for_another():
    async with serving(replay([b"data: 1\n\n"], headers={"set-cookie": "who=alice; Path=/"})) as server:
        await ask(server.url)
        await ask(server.url)

    assert "cookie" not in server.requests[1].headers


async def test_no_proxy_and_no_netrc_is_used(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with serving(replay([b"data: 1\n\n"])) as server:
        assert await ask(server.url, headers={}) == [b"1"]

    assert "authorization" not in server.requests[0].headers


async def test_a_connection_is_used_again_after_an_answer_read_to_its_end():
    async with serving(replay([b"data: 1\n\n"])) as server:
        for _ in range(3):
            await ask(server.url)

    assert (len(server.requests), server.connections) == (3, 1)


async def test_no_url_and_no_key_gets_into_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with serving(replay([b"data: 1\n\n"])) as server:
        await ask(f"{server.url}/v1/chat")

    assert "/v1/chat" not in caplog.text
    assert "secret-key" not in caplog.text


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX: y", "ключ", "a\x00"])
async def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(key):
    async with serving(replay([])) as server:
        error = await failure(server.url, headers={"authorization": f"Bearer {key}"})

    assert isinstance(error, InvalidCredentials)
    assert server.requests == []


async def test_text_that_is_no_unicode_can_still_be_asked():
    async with serving(replay([b"data: 1\n\n"])) as server:
        found = batches(stream_events(None, server.url, headers={}, body={"q": "\ud800"}))
        assert [batch async for batch in found]

    assert server.requests[0].body == b'{"q": "\\ud800"}'


# --- Where it goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "localhost.",
    ],
)
async def test_this_machine_is_refused_where_only_public_addresses_are_allowed(host, set_limits):
    async with serving(replay([b"data: 1\n\n"])) as server:
        set_limits(allow_private=False)
        error = await failure(server.url.replace("127.0.0.1", host))

    assert isinstance(error, AddressRefused)
    assert server.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["1.1.1.1", "100.100.100.200"],
    ],
)
async def test_a_name_is_refused_if_any_of_its_addresses_is(addresses, set_limits, resolve_to):
    async with serving(replay([b"data: 1\n\n"])) as server:
        set_limits(allow_private=False)
        resolve_to(addresses)
        error = await failure(server.url.replace("127.0.0.1", "model.example"))

    assert isinstance(error, AddressRefused)
    assert server.connections == 0


async def test_metadata_is_refused_even_where_private_addresses_are_allowed(resolve_to):
    async with serving(replay([])):
        resolve_to(["169.254.169.254"])

        assert isinstance(await failure("http://model.example/v1"), AddressRefused)
        assert isinstance(await failure("http://169.254.169.254/v1"), AddressRefused)


async def test_a_name_that_answers_differently_the_next_time_is_asked_only_once(
    monkeypatch, set_limits, resolve_to
):
    tried = []

    def connect(sock, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    async def sock_connect(sock, address):
        connect(sock, address)

    async with serving(replay([b"data: 1\n\n"])) as server:
        set_limits(allow_private=False)
        resolve_to(["1.1.1.1"], ["127.0.0.1"])
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect, raising=False)
        first = await failure(server.url.replace("127.0.0.1", "model.example"))
        second = await failure(server.url.replace("127.0.0.1", "model.example"))

    # The address that was checked is the one that was tried; the changed answer is checked anew.
    assert isinstance(first, ProviderUnavailable)
    assert isinstance(second, AddressRefused)
    assert tried == ["1.1.1.1"]


async def test_the_last_check_is_made_on_the_address_itself(set_limits):
    """Even with a resolver that lets everything through."""

    async def careless(host):
        return [Answer(socket.AF_INET, 6, "127.0.0.1")]

    async with (
        serving(replay([b"data: 1\n\n"])) as server,
        new_client(GuardedTransport(careless)) as client,
    ):
        named = server.url.replace("127.0.0.1", "model.example")
        assert await ask(named, client=client) == [b"1"]
        assert server.requests[0].headers["host"] == named.removeprefix("http://")

        set_limits(allow_private=False)
        async with new_client(GuardedTransport(careless)) as strict:
            assert isinstance(await failure(named, client=strict), AddressRefused)
    assert server.connections == 1


async def test_no_one_of_several_addresses_is_connected_to(set_limits):
    async def careless(host):
        return [Answer(socket.AF_INET, 6, address) for address in ("127.0.0.1", "127.0.0.2")]

    async with (
        serving(replay([b"data: 1\n\n"])) as server,
        new_client(GuardedTransport(careless)) as client,
    ):
        set_limits(allow_private=False)
        error = await failure(server.url.replace("127.0.0.1", "model.example"), client=client)

    assert isinstance(error, AddressRefused | ProviderUnavailable)
    assert server.connections == 0


async def test_an_open_connection_is_not_used_again_after_the_rule_changed(set_limits):
    async with serving(replay([b"data: 1\n\n"])) as server:
        await ask(server.url)
        set_limits(allow_private=False)

        assert isinstance(await failure(server.url), AddressRefused)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status):
    async with serving(replay([b"data: 1\n\n"])) as inside:
        async with serving(plain(status, b"", {"location": f"{inside.url}/secret"})) as server:
            error = await failure(server.url)

        assert inside.requests == []
    assert isinstance(error, WrongAddress)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "/v1", "http://", "http://a b/"])
async def test_only_http_is_spoken(url):
    assert isinstance(await failure(url), AddressRefused)
    await transport.close_shared()


# --- How long it takes, and how much it is ----------------------------------------------------------------


async def test_a_refused_connection_never_left():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    await transport.close_shared()

    assert type(error) is ProviderUnavailable
    assert error.unsent


async def test_a_name_that_does_not_resolve_is_unavailable(monkeypatch):
    def fails(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("providers.names.socket.getaddrinfo", fails)
    error = await failure("https://no.such.example/v1")
    await transport.close_shared()

    assert type(error) is ProviderUnavailable
    assert error.unsent


async def test_a_connection_that_is_not_taken_ends_in_time(set_limits):
    set_limits(connect_seconds=0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(address)
        since = time.monotonic()
        error = await failure(f"http://127.0.0.1:{address[1]}/v1")
        for one in held:
            one.close()
    await transport.close_shared()

    assert isinstance(error, ProviderTimeout)
    assert error.unsent
    assert time.monotonic() - since < 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for model.example that only those trust who are told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "model.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("model.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


async def test_tls_is_checked_against_the_name_and_not_the_address(certificate, resolve_to):
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    names = []
    served.sni_callback = lambda sock, name, context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with serving(replay([b"data: 1\n\n"]), tls=served) as server:
        resolve_to(["127.0.0.1"])
        url = server.url.replace("127.0.0.1", "model.example")
        async with new_client(GuardedTransport(context=trusting)) as client:
            assert await ask(url, client=client) == [b"1"]
            wrong_name = await failure(server.url.replace("127.0.0.1", "other.example"), client=client)
        untrusted = await failure(url)

    assert names == ["model.example", "other.example", "model.example"]
    for error in (wrong_name, untrusted):
        assert type(error) is ProviderUnavailable
        assert error.unsent


async def test_a_server_that_does_not_answer_ends_in_time(set_limits):
    set_limits(idle_seconds=0.2)

    async def silent(wire):
        await wire.hung_up()
        wire.server.left.set()

    async with serving(silent) as server:
        error = await failure(server.url)
        await asyncio.wait_for(server.left.wait(), 2)

    assert type(error) is ProviderTimeout
    assert not error.unsent


@pytest.mark.parametrize("begun", [b"", b"data: 1\n\n"])
async def test_a_stall_ends_in_time_and_hangs_up(begun, set_limits):
    set_limits(idle_seconds=0.2)

    async def stalls(wire):
        await wire.head()
        if begun:
            await wire.send(begun)
        wire.server.hung_up.append(await wire.hung_up())

    async with serving(stalls) as server:
        error = await failure(server.url)
        await asyncio.sleep(0.05)

    assert type(error) is ProviderTimeout
    assert len(server.hung_up) == 1 and server.hung_up[0] < 3


async def test_a_drip_of_comments_ends_in_time(set_limits):
    set_limits(idle_seconds=0.3, total_seconds=0.6)

    async def drips(wire):
        await wire.head()
        while True:
            await wire.send(b": still here\n\n")
            await asyncio.sleep(0.05)

    async with serving(drips) as server:
        since = time.monotonic()
        error = await failure(server.url)

    assert type(error) is ProviderTimeout
    assert 0.5 < time.monotonic() - since < 5


async def test_a_slow_but_steady_answer_is_not_cut(set_limits):
    # Longer in all than the longest silence that is allowed, and with room for a machine that is busy.
    set_limits(idle_seconds=1.5)
    pieces = [b"data: %d\n\n" % n for n in range(10)]
    async with serving(replay(pieces, pause=0.2)) as server:
        assert len(await ask(server.url)) == 10


@pytest.mark.parametrize("target", ["/a\r\nX-Evil: 1", "/a b"])
async def test_one_request_is_one_request(target):
    async with serving(replay([b"data: 1\n\n"])) as server, new_client() as client:
        url = httpx.URL(server.url).copy_with(raw_path=b"/")
        request = httpx.Request("POST", url, extensions={"timeout": {"read": 1, "connect": 1}})
        request.url._uri_reference = request.url._uri_reference._replace(path=target)
        with pytest.raises(httpx.UnsupportedProtocol):
            await client._transport.handle_async_request(request)

    assert server.requests == []


async def test_the_time_our_own_reader_takes_is_not_the_providers(set_limits):
    set_limits(idle_seconds=0.2)
    async with serving(replay([b"data: 1\n\n", b"data: 2\n\n"])) as server:
        seen = []
        async with aclosing(batches(stream_events(None, server.url, headers={}, body={}))) as found:
            async for batch in found:
                await asyncio.sleep(0.5)
                seen += batch

    assert len(seen) == 2


async def flood(wire, piece):
    await wire.head()
    while True:
        await wire.send(piece)


@pytest.mark.parametrize("piece", [b"x" * 16384, b"data: " + b"x" * 16384 + b"\n", b"data: 1\n\n" * 2000])
async def test_what_never_ends_costs_bounded_memory(piece, set_limits):
    set_limits(event_bytes=1 << 20, body_bytes=2 << 20)
    async with serving(lambda wire: flood(wire, piece)) as server:
        tracemalloc.start()
        error = await failure(server.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await asyncio.wait_for(server.left.wait(), 2)

    assert isinstance(error, AnswerTooLarge)
    assert peak < 30 << 20


async def test_a_document_that_never_ends_is_cut_off(set_limits):
    set_limits(document_bytes=1 << 20)
    async with serving(lambda wire: flood(wire, b"[" * 16384)) as server:
        assert isinstance(await failure(server.url), AnswerTooLarge)
        with pytest.raises(AnswerTooLarge):
            await transport.get_json(None, server.url, headers={})


async def test_lines_are_bounded_too(set_limits):
    set_limits(event_bytes=1 << 20)
    async with serving(lambda wire: flood(wire, b"x" * 16384)) as server:
        with pytest.raises(AnswerTooLarge):
            async with aclosing(batches(stream_lines(None, server.url, headers={}, body={}))) as found:
                [batch async for batch in found]


async def test_headers_that_never_end_are_cut_off():
    async def answer(wire):
        await wire.raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            await wire.raw(b"x-%d: y\r\n" % len(wire.server.requests) * 1000)

    async with serving(answer) as server:
        error = await failure(server.url)
        await asyncio.wait_for(server.left.wait(), 2)

    assert isinstance(error, ProviderUnavailable)


async def test_no_head_has_more_headers_than_anybody_needs():
    async def answer(wire):
        await wire.raw(b"HTTP/1.1 200 OK\r\n" + b"set-cookie: a=b\r\n" * 5000 + b"\r\n")

    async with serving(answer) as server:
        assert type(await failure(server.url)) is ProviderUnavailable


async def test_a_gzip_bomb_is_not_inflated_to_its_end():
    bomb = gzip.compress(b"data: " + b"0" * (100 << 20))
    async with serving(replay([bomb], headers={"content-encoding": "gzip"})) as server:
        tracemalloc.start()
        error = await failure(server.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert isinstance(error, BrokenStream) and not error.retryable
    # An event of the greatest length, twice.
    assert peak < 12 << 20


EVENTS = b"".join(b'data: {"choices":[{"delta":{"content":"%d "}}]}\n\n' % number for number in range(5000))


@pytest.mark.parametrize("cut", [1, 1000, 1 << 20])
@pytest.mark.parametrize("members", [1, 3])
async def test_a_compressed_answer_is_inflated_however_it_is_cut(cut, members):
    third = len(EVENTS) // members + 1
    body = b"".join(gzip.compress(EVENTS[at : at + third]) for at in range(0, len(EVENTS), third)) + bytes(4)

    async def chunks() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(body), cut):
            yield body[at : at + cut]

    assert b"".join([piece async for piece in inflated(chunks())]) == EVENTS


async def test_a_compressed_event_does_not_wait_for_the_next():
    packer = zlib.compressobj(wbits=31)
    sent = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in (b"one", b"two" * 50_000)]
    given = asyncio.Queue[bytes]()

    async def chunks() -> AsyncGenerator[bytes, None]:
        while True:
            yield await given.get()

    async with aclosing(inflated(chunks())) as pieces:
        given.put_nowait(sent[0])
        assert await anext(pieces) == b"one"
        given.put_nowait(sent[1])
        got = b""
        while len(got) < 150_000:
            got += await asyncio.wait_for(anext(pieces), 5)

    assert got == b"two" * 50_000


@pytest.mark.parametrize("body", [gzip.compress(EVENTS)[:-9], b"data: {}\n\n"], ids=["cut off", "no gzip"])
async def test_a_compressed_answer_that_is_not_whole_is_broken(body):
    async with serving(replay([body], headers={"content-encoding": "gzip"})) as server:
        assert type(await failure(server.url)) is BrokenStream


async def test_an_encoding_that_nobody_asked_for_is_refused():
    async with serving(replay([b"data: {}\n\n"], headers={"content-encoding": "br"})) as server:
        assert isinstance(await failure(server.url), BrokenStream)


async def test_a_compressed_error_still_has_its_status():
    body = gzip.compress(b'{"error": {"message": "no"}}')
    async with serving(plain(503, body, {"content-encoding": "gzip"})) as server:
        assert isinstance(await failure(server.url), ProviderOverloaded)


async def test_a_huge_error_body_is_read_only_so_far():
    sent = 0

    async def answer(wire):
        nonlocal sent
        await wire.head(429, {"retry-after": "7"})
        while sent < 300 << 20:
            await wire.send(b"x" * 65536)
            sent += 65536

    async with serving(answer) as server:
        error = await failure(server.url)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 7
    assert sent < 16 << 20


async def test_an_error_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(transport, "ERROR_BODY_SECONDS", 0.2)

    async def answer(wire):
        await wire.head(503)
        await wire.hung_up()

    async with serving(answer) as server:
        since = time.monotonic()
        assert isinstance(await failure(server.url), ProviderOverloaded)
    assert time.monotonic() - since < 2


async def test_an_answer_that_is_no_http_is_unavailable():
    async def answer(wire):
        await wire.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        wire.writer.close()

    async with serving(answer) as server:
        assert type(await failure(server.url)) is ProviderUnavailable


async def test_a_connection_closed_without_an_answer_is_unavailable():
    async def answer(wire):
        wire.writer.close()

    async with serving(answer) as server:
        error = await failure(server.url)

    assert type(error) is ProviderUnavailable
    assert not error.unsent


async def test_a_key_that_is_echoed_does_not_get_into_the_error():
    body = json.dumps(
        {"error": {"message": "Incorrect API key provided: secret-key-1234. See secret-key-1234"}}
    )
    async with serving(plain(401, body.encode())) as server:
        error = await failure(server.url)

    assert isinstance(error, InvalidCredentials)
    assert "secret-key" not in str(error)


# --- Leaving --------------------------------------------------------------------------------------------


async def endless(wire):
    await wire.head()
    await wire.send(b"data: 1\n\n")
    wire.server.hung_up.append(await wire.hung_up())
    wire.server.left.set()


async def test_closing_the_generator_hangs_up_at_once():
    async with serving(endless) as server:
        found = batches(stream_events(None, server.url, headers={}, body={}))
        await anext(found)
        since = time.monotonic()
        await found.aclose()
        await asyncio.wait_for(server.left.wait(), 2)

    assert time.monotonic() - since < 1


@pytest.mark.parametrize("while_", ["waiting for the first byte", "reading"])
async def test_a_cancelled_reader_hangs_up_at_once(while_):
    async def silent(wire):
        wire.server.hung_up.append(await wire.hung_up())
        wire.server.left.set()

    async with serving(endless if while_ == "reading" else silent) as server:
        task = asyncio.create_task(ask(server.url))
        await asyncio.sleep(0.2)
        since = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.left.wait(), 2)

    assert time.monotonic() - since < 1


async def test_each_event_loop_has_one_client():
    client = transport.shared_client()

    assert transport.shared_client() is client
    await transport.close_shared()
    assert client.is_closed
    assert transport.shared_client() is not client
    await transport.close_shared()


async def test_any_transport_of_httpx_will_do():
    def answer(request):
        return httpx.Response(200, content=b"data: 1\n\ndata: 2\n\n")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert await ask("https://api.example.com/v1", client=client) == [b"1", b"2"]
