import ipaddress
import socket

import pytest

from providers.addresses import Reach, check_address, check_url, origin, reach
from providers.errors import AddressRefused

PUBLIC = """
    1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.32.0.1 198.17.0.1 2606:4700::1111
    2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::808:808
""".split()  # noqa: SIM905
PRIVATE = """
    127.0.0.1 127.255.0.1 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1
    198.18.0.1 :: ::1 fc00::1 fd12:3456::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1
    64:ff9b::a00:1
""".split()  # noqa: SIM905
NEVER = """
    169.254.169.254 169.254.0.1 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1
    198.51.100.1 203.0.113.1 192.88.99.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 fe80::1
    fec0::1 ff02::1 fd00:ec2::254 fd20:ce::254 ::ffff:169.254.169.254 ::ffff:100.100.100.200
    64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 ::127.0.0.1 ::7f00:2 ::8.8.8.8 2002:7f00:1::
    2002:a9fe:a9fe::1 2002:808:808::1 2001::1 2001:0:7f00:1::1 2001:db8::1 2001:10::1 100::1 3fff::1
    5f00::1 4000::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize(
    ("address", "found"),
    [(a, Reach.PUBLIC) for a in PUBLIC]
    + [(a, Reach.PRIVATE) for a in PRIVATE]
    + [(a, Reach.NEVER) for a in NEVER],
)
def test_who_can_reach_an_address(address, found):
    assert reach(ipaddress.ip_address(address)) is found


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_only_public_addresses_are_allowed(address):
    with pytest.raises(AddressRefused):
        check_address(address, allow_private=False)


def test_private_addresses_are_allowed_where_the_owner_says_so_and_metadata_never():
    for address in PUBLIC + PRIVATE:
        check_address(address, allow_private=True)
    for address in NEVER:
        with pytest.raises(AddressRefused):
            check_address(address, allow_private=True)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "localhost", "", "1.2.3", "::1%1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressRefused):
        check_address(text, allow_private=True)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        (" https://API.OpenAI.com:443/v1/// ", "https://api.openai.com/v1"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:8080/a/B", "http://example.com:8080/a/B"),
        ("https://1.1.1.1/v1", "https://1.1.1.1/v1"),
        ("https://[2606:4700:0:0::1111]/v1", "https://[2606:4700::1111]/v1"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("https://a_b.example", "https://a_b.example"),
        (f"https://{'a' * 63}.example.", f"https://{'a' * 63}.example."),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_url_is_brought_to_its_normal_form(url, normal):
    assert check_url(url, allow_private=False) == normal
    assert check_url(normal, allow_private=False) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "//api.openai.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "https://",
        "https:///v1",
        "http://a..b",
        "http://a..",
        f"http://{'a' * 64}.example",
        "http://xn--a",
        "http://xn--.example",
        "https://user@example.com",
        "https://user:key@example.com",
        "https://:@example.com",
        "https://example.com/v1?key=1",
        "https://example.com/v1?",
        "https://example.com/#a",
        "https://example.com:0",
        "https://example.com:99999",
        "https://example.com:x",
        "https://exa mple.com",
        "https://example.com\\@127.0.0.1",
        "https://exam\nple.com",
        "https://example.com/\x00",
        "https://ex%61mple.com",
        "https://-example.com",
        "https://.example.com",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://[v1.x]",
        "https://" + "a" * 300 + ".com",
        "https://example.com/" + "a" * 3000,
    ],
)
def test_what_is_no_base_url_is_refused_even_where_private_ones_are_allowed(url):
    with pytest.raises(AddressRefused):
        check_url(url, allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0",
            "0x7f000001",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
        ),
        *(
            "127.0.0.1.",
            "0x7f.0.0.1.",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "10.1",
            "0.0.0.0",
        ),
        *("１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166"),
        *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        *("[fd00:ec2::254]", "[2002:7f00:1::]", "[2001:0:7f00:1::1]", "[::127.0.0.1]", "[fe80::1]"),
    ],
)
def test_no_way_of_writing_a_private_address_gets_past(host):
    for url in (f"http://{host}/v1", f"https://{host}:8443", f"http://{host}"):
        with pytest.raises(AddressRefused):
            check_url(url, allow_private=False)


def test_a_machine_of_ones_own_is_allowed_where_the_owner_says_so():
    assert check_url("http://localhost:11434/", allow_private=True) == "http://localhost:11434"
    assert check_url("http://[::1]:8080/v1", allow_private=True) == "http://[::1]:8080/v1"
    with pytest.raises(AddressRefused):
        check_url("http://169.254.169.254/latest", allow_private=True)


def answers(*addresses):
    def look_up(*args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    return look_up


def test_what_a_name_stands_for_can_be_asked_as_it_is_saved(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", answers("1.1.1.1", "10.0.0.1"))

    with pytest.raises(AddressRefused):
        check_url("https://inside.example", allow_private=False, resolve=True)

    assert check_url("https://inside.example", allow_private=False) == "https://inside.example"


def test_a_name_that_does_not_resolve_may_be_saved(monkeypatch):
    def fails(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fails)

    assert check_url("https://soon.example", allow_private=False, resolve=True)


@pytest.mark.parametrize(
    "host, name",
    [
        ("stra\u00dfe.de", "xn--strae-oqa.de"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
        ("B\u00dccher.example", "xn--bcher-kva.example"),
        ("\uff41\uff50\uff49.example\u3002com", "api.example.com"),
        ("\u6a21\u578b.example", "xn--xgs754b.example"),
    ],
)
def test_a_host_that_is_no_ascii_is_the_one_browsers_go_to(host, name):
    assert check_url(f"https://{host}/v1", allow_private=False) == f"https://{name}/v1"


@pytest.mark.parametrize("host", ["\u2603.net", "a\u200db.example", "\u0300a.example", "\ud800.example"])
def test_a_host_that_is_read_in_several_ways_is_refused(host):
    with pytest.raises(AddressRefused):
        check_url(f"https://{host}/v1", allow_private=False)


def test_an_origin_is_scheme_host_and_port():
    assert origin("https://api.example.com:8443/v1/x") == "https://api.example.com:8443"
    assert (
        origin(check_url("HTTPS://Api.example.com:443/v1", allow_private=False)) == "https://api.example.com"
    )
