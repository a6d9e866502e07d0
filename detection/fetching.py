"""Fetching what is behind a URL, without being led into the platform's own network."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

import certifi
import httpcore
from django.conf import settings

from detection.addresses import IPAddress, Target, check_address, check_url
from detection.blobs import Incoming
from detection.errors import ContentTooLarge, FetchFailed, FetchRefused, URLNotAllowed

MAX_REDIRECTS = 3
MAX_SECONDS = 40.0
"""For everything together: connecting, redirects, the body. Below the lease of a job."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK_BYTES = 65_536
_USER_AGENT = "Kilinda-Sauti/1 (content verification)"

Resolve = Callable[[str, int], Sequence[str]]
"""Turns a host name and port into addresses."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL led to. The caller closes `body`, after keeping it or not."""

    body: Incoming
    content_type: str
    """As the server declared it; it may lie."""
    final_url: str
    redirects: tuple[str, ...]
    """The URLs before the final one, in order."""
    address: str
    """The network address the bytes came from."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host. Raises FetchFailed when it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed("host_not_found", f"The host {host} was not found.") from error
    return [str(entry[4][0]) for entry in found]


def fetch(url: str, *, resolver: Resolve = resolve, max_seconds: float = MAX_SECONDS) -> Fetched:
    """Fetch a URL over at most MAX_REDIRECTS redirects, each checked like the first address.

    Every name is resolved once and the connection goes to the checked address, so that a second
    answer of the name server cannot lead elsewhere. Raises FetchRefused (pointless to repeat) or
    FetchFailed (worth repeating), both with a reason for people.
    """
    deadline = time.monotonic() + max_seconds
    visited: list[str] = []
    while len(visited) <= MAX_REDIRECTS:
        try:
            hop = _ask(url, tuple(visited), resolver, deadline)
        except URLNotAllowed as error:
            raise FetchRefused(error.code, error.detail) from error
        if isinstance(hop, Fetched):
            return hop
        visited.append(url)
        url = hop
    raise FetchRefused("too_many_redirects", f"There were more than {MAX_REDIRECTS} redirects.")


def _ask(url: str, visited: tuple[str, ...], resolver: Resolve, deadline: float) -> Fetched | str:
    """Ask for one URL; return what it delivered, or the URL it redirects to."""
    target = check_url(url)
    address = _checked_address(target, resolver)
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=_tls(),
                network_backend=_Pinned(address, deadline),
                max_connections=1,
                http2=False,
            ) as pool,
            pool.stream(
                "GET",
                target.url,
                headers=_headers(target),
                extensions={"timeout": _patience(deadline)},
            ) as response,
        ):
            redirect = _redirect(response, target)
            if redirect:
                return redirect
            _check_status(response.status)
            body = _received(response)
    except (httpcore.TimeoutException, _TooLate) as error:
        raise FetchFailed("fetch_timeout", f"{target.host} took too long to answer.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise FetchFailed("fetch_failed", f"{target.host} could not be reached: {error}") from error
    return Fetched(body, _header(response, b"content-type"), target.url, visited, str(address))


def _checked_address(target: Target, resolver: Resolve) -> IPAddress:
    """Return the address to connect to; every address of the name must be allowed."""
    try:
        found = [ipaddress.ip_address(target.host)]
    except ValueError:
        found = [ipaddress.ip_address(name) for name in resolver(target.host, target.port)]
    if not found:
        raise FetchFailed("host_not_found", f"The host {target.host} was not found.")
    for address in found:
        check_address(address, target.port)
    return found[0]


def _headers(target: Target) -> list[tuple[str, str]]:
    return [
        ("Host", target.authority),
        ("User-Agent", _USER_AGENT),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())


# --- The connection ------------------------------------------------------------------------------


class _TooLate(Exception):
    """The time for the whole fetch is used up."""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TooLate
    return left


def _patience(deadline: float) -> dict[str, float]:
    left = _left(deadline)
    return {"connect": min(left, 10.0), "read": left, "write": left, "pool": left}


class _Pinned(httpcore.NetworkBackend):
    """Connects to the checked address, whatever the host name would resolve to by now."""

    def __init__(self, address: IPAddress, deadline: float) -> None:
        self._address = str(address)
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(
            self._address, port, timeout, local_address, socket_options
        )
        return _Timed(stream, self._deadline)


class _Timed(httpcore.NetworkStream):
    """A stream that ends at a moment, so that a byte a second cannot hold a worker."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Timed(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


# --- The answer ----------------------------------------------------------------------------------


def _header(response: httpcore.Response, name: bytes) -> str:
    return next(
        (value.decode("latin-1") for key, value in response.headers if key.lower() == name), ""
    )


def _redirect(response: httpcore.Response, target: Target) -> str:
    """Return where a redirect leads, or nothing."""
    if response.status not in _REDIRECTS:
        return ""
    location = _header(response, b"location")
    if not location:
        raise FetchRefused("bad_redirect", f"{target.host} redirects without saying where to.")
    return urljoin(target.url, location)


def _check_status(status: int) -> None:
    if status == 200:
        return
    reason = f"The server answered with status {status}."
    raise (FetchFailed if status in _AGAIN else FetchRefused)("fetch_status", reason)


def _received(response: httpcore.Response) -> Incoming:
    limit = settings.KILINDA_MAX_UPLOAD_BYTES
    body = Incoming(limit_bytes=limit)
    try:
        for chunk in _decoded(response, limit):
            body.write(chunk)
    except ContentTooLarge as error:
        body.close()
        raise FetchRefused("too_large", f"The content has more than {limit} bytes.") from error
    except BaseException:
        body.close()
        raise
    return body


def _decoded(response: httpcore.Response, limit: int) -> Iterator[bytes]:
    """Yield the body, unpacked in small steps: a bomb ends at the limit, not in memory."""
    encoding = _header(response, b"content-encoding").strip().lower()
    chunks = _capped(response.iter_stream(), limit)
    if encoding in {"", "identity"}:
        return chunks
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return _unpacked(chunks)
    raise FetchRefused("unsupported_encoding", f"The content is packed as {encoding[:40]}.")


def _capped(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise FetchRefused("too_large", f"The content has more than {limit} bytes.")
        yield chunk


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # tells gzip and zlib apart itself
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting:
                yield unpacker.decompress(waiting, _CHUNK_BYTES)
                waiting = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise FetchFailed(
            "bad_encoding", "The content is not packed as its server says."
        ) from error
    if not unpacker.eof:
        raise FetchFailed("cut_short", "The content ended too early.")


_HTML_START = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)\b", re.I | re.S)


def is_page(fetched: Fetched) -> bool:
    """Say whether what came is a web page."""
    declared = fetched.content_type.partition(";")[0].strip().lower()
    head = fetched.body.head.removeprefix(b"\xef\xbb\xbf")
    return _HTML_START.match(head) is not None or (
        declared in {"text/html", "application/xhtml+xml"} and b"\0" not in head
    )
