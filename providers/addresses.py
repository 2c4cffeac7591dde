"""Which addresses a provider may have.

A user chooses the base URL and this server makes the request, so an address
that only this server can reach must be refused: by its text when it is saved
(`check_url`), and by what its name resolves to at the moment of connecting
(`check_address`, called by the transport for every answer).
"""

import ipaddress
import re
import socket
from enum import Enum
from urllib.parse import SplitResult, urlsplit

import idna

from .errors import AddressMalformed, AddressRefused
from .names import look_up_briefly

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_CHARS = 2000
# How long it may take to look a name up while somebody waits for a form.
SAVING_SECONDS = 2.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?", re.ASCII)


class Reach(Enum):
    """Who can reach an address."""

    PUBLIC = "public"
    # Somebody's own network: allowed where the server's owner says so.
    PRIVATE = "private"
    # Never a provider: metadata services, link-local, multicast, reserved.
    NEVER = "never"


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# `ipaddress.is_global` differs between Python versions and misses several of
# these, so the registries (RFC 6890 and its updates) are written out here.
_NEVER = _networks(
    "169.254.0.0/16",  # link-local, and the metadata service of most clouds
    "100.100.100.200/32",  # metadata: Alibaba
    "168.63.129.16/32",  # metadata: Azure
    "192.0.0.0/24",  # protocol assignments; metadata: Oracle
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "192.88.99.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "fd00:ec2::/32",  # metadata: Amazon
    "fd20:ce::254/128",  # metadata: Google
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
_PRIVATE = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    # Benchmarking; transparent proxies answer every name with one of these.
    "198.18.0.0/15",
    "::/128",
    "::1/128",
    "fc00::/7",
)
# All of IPv6 that is assigned for use on the internet, less what is special in it:
# Teredo and other protocol assignments, documentation, 6to4.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = _networks("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
# A translator in front of an IPv6-only network: such an address is as good as
# the IPv4 address it carries.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def reach(address: IPAddress) -> Reach:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return reach(address.ipv4_mapped)
        if address in _NAT64:
            return reach(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address in network for network in _NEVER if network.version == address.version):
        return Reach.NEVER
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return Reach.PRIVATE
    if isinstance(address, ipaddress.IPv4Address):
        return Reach.PUBLIC
    if address in _PUBLIC_V6 and not any(address in network for network in _SPECIAL_V6):
        return Reach.PUBLIC
    return Reach.NEVER


def check_address(address: str, *, allow_private: bool) -> None:
    """Raise `AddressRefused` unless this literal address may be connected to."""
    try:
        literal = ipaddress.ip_address(address)
    except ValueError as exc:
        raise AddressRefused(f"not an address: {address[:100]!r}") from exc
    # A zone ("%eth0") means one of this machine's own links.
    found = Reach.NEVER if "%" in address else reach(literal)
    if found is Reach.NEVER or (found is Reach.PRIVATE and not allow_private):
        raise AddressRefused(f"{address} is not a public address")


def check_url(url: str, *, allow_private: bool, resolve: bool = False) -> str:
    """Return the base URL in its normal form, or raise `AddressRefused`.

    Judges the text alone, so it can be called anywhere; with `resolve` also what
    the name resolves to now, which may take a moment and tells the user early.
    The transport checks again, against the address it connects to.
    """
    parts, port = _split(url.strip())
    host = _ascii_host(parts.hostname or "", bracketed="[" in parts.netloc)
    address = literal(host)
    if address is not None:
        check_address(str(address), allow_private=allow_private)
        host = f"[{address}]" if address.version == 6 else str(address)
    else:
        if host.rstrip(".").rsplit(".", 1)[-1] == "localhost" and not allow_private:
            raise AddressRefused(f"{host} is not a public address")
        if resolve:
            _check_name(host, allow_private=allow_private)
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def origin(url: str) -> str:
    """Return scheme, host and port of a checked URL: what a key is bound to."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > MAX_URL_CHARS or not url.isprintable() or any(c in url for c in ' \\"<>'):
        raise AddressMalformed("not a URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise AddressMalformed("not a URL") from exc
    if parts.scheme not in _DEFAULT_PORTS:
        raise AddressMalformed("only http and https")
    if parts.username is not None or parts.password is not None:
        raise AddressMalformed("no user name or password in the URL")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise AddressMalformed("no query and no fragment in a base URL")
    if port == 0:
        raise AddressMalformed("no such port")
    return parts, port


def _ascii_host(host: str, *, bracketed: bool) -> str:
    if ":" in host:
        return host
    if bracketed:
        raise AddressMalformed("not an address")
    try:
        # As browsers read it; Python's own codec still takes a German sharp s for two of the
        # round ones, which is another domain. Also turns full-width digits and dots into
        # plain ones, before they are judged.
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError as exc:
        raise AddressMalformed("not a host name") from exc
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not _HOST.fullmatch(name) or not all(map(_is_label, labels)):
        raise AddressMalformed("not a host name")
    return name


def _is_label(label: str) -> bool:
    """Whether what stands between two dots can be looked up; a look-up raises for what cannot."""
    if not 1 <= len(label) <= 63:
        return False
    if label.startswith("xn--"):
        try:
            idna.decode(label)
        except UnicodeError:
            return False
    return True


def literal(host: str) -> IPAddress | None:
    """Return the address that a host is, or `None` for a name; raises `AddressMalformed`."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # "127.1", "0x7f000001" and "2130706433" are addresses to the C library.
        socket.inet_aton(host.rstrip("."))
    except OSError:
        if ":" in host:
            raise AddressMalformed("not an address") from None
        return None
    raise AddressMalformed("write an IPv4 address as four decimal numbers")


def _check_name(host: str, *, allow_private: bool) -> None:
    # A name that does not resolve at once is for the connection to report.
    for answer in look_up_briefly(host, seconds=SAVING_SECONDS):
        check_address(answer.address, allow_private=allow_private)
