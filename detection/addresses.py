"""Which URLs and network addresses the platform may fetch from. Pure rules; nothing is resolved."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import idna
from django.conf import settings

from detection.errors import URLNotAllowed

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 2048
PORTS = frozenset({80, 443, 8080, 8443})
_DEFAULT_PORTS = {"http": 80, "https": 443}

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        # What `is_global` alone lets through in some Python versions, or reaches others indirectly.
        "100.64.0.0/10",  # shared by carriers
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/3",  # multicast and reserved
        "2001::/23",  # Teredo and protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""All public IPv6 is in here; mapped, NAT64, unique local, link local and multicast are not."""

_PATH_SAFE = "/%:@!$&'()*+,;=~?"
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_PRIVATE_NAMES = (
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "onion",
    "invalid",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: what to ask for, and where. `host` is ASCII and lower case."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Return host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL, normalised."""
        return f"{self.scheme}://{self.authority}{self.path}"


def check_url(url: str) -> Target:
    """Return where a URL points if its text alone does not forbid it. Raises URLNotAllowed.

    What its name resolves to is checked when it is fetched, by `check_address`.
    """
    target = _taken_apart(url)
    literal = _literal(target.host)
    if literal is not None:
        check_address(literal, target.port)
    elif _is_private_name(target.host) and not _allowed_networks():
        raise _refusal("its host name is not a public one")
    elif target.port not in PORTS and not _allowed_networks():
        raise _odd_port(target.port)
    return target


def check_address(address: IPAddress, port: int) -> None:
    """Raise URLNotAllowed unless the address is public and the port one that serves web pages."""
    if any(address in network for network in _allowed_networks()):
        return
    if not is_public(address):
        raise _refusal("it leads to an address that is not public")
    if port not in PORTS:
        raise _odd_port(port)


def is_public(address: IPAddress) -> bool:
    """Say whether an address belongs to the public internet and stands for itself alone."""
    if address.version == 6 and address not in _GLOBAL_IPV6:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


def networks(names: list[str]) -> tuple[IPNetwork, ...]:
    """Return the named networks. Raises ValueError for what is none."""
    return tuple(ipaddress.ip_network(name) for name in names)


def _allowed_networks() -> tuple[IPNetwork, ...]:
    return networks(settings.KILINDA_FETCH_ALLOW)


def _taken_apart(url: str) -> Target:
    if len(url) > MAX_URL_LENGTH or _UNSAFE.search(url):
        raise _refusal(
            f"it is longer than {MAX_URL_LENGTH} or has spaces, control characters or backslashes"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refusal("it is not a valid URL") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refusal("only http and https are fetched")
    if "@" in parts.netloc:
        raise _refusal("it carries a user name or password")
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        path = f"{path}?{quote(parts.query, safe=_PATH_SAFE)}"
    return Target(
        scheme=parts.scheme,
        host=_plain_host(parts.hostname or ""),
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=path,
    )


def _plain_host(written: str) -> str:
    """Return the host in ASCII. Raises URLNotAllowed for an address that is not plainly written."""
    if ":" in written:
        return written  # only an IPv6 literal in brackets gets here; _literal() parses it
    host = unicodedata.normalize("NFKC", written).replace("\u3002", ".").rstrip(".").lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            raise _refusal("its host name is not a valid one") from error
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host) or len(host) > 253:
        raise _refusal("its host name is not a valid one")
    if _is_disguised_number(host, written):
        raise _refusal("its address is not written plainly")
    return host


def _is_disguised_number(host: str, written: str) -> bool:
    """Decimal, hex, octal and short forms: what the C library takes for an IPv4 address."""
    try:
        plain = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rpartition(".")[2]) is not None
    return plain != written


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        if ":" in host:
            raise _refusal("its address is not a valid one") from None
        return None


def _is_private_name(host: str) -> bool:
    return "." not in host or any(host.endswith(f".{name}") for name in _PRIVATE_NAMES)


def _odd_port(port: int) -> URLNotAllowed:
    listed = ", ".join(str(allowed) for allowed in sorted(PORTS))
    return _refusal(f"port {port} is not one of {listed}")


def _refusal(why: str) -> URLNotAllowed:
    return URLNotAllowed(f"This URL may not be fetched: {why}.", field="url")
