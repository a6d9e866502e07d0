"""Submitting and reading through gunicorn, beside a bare DRF view that does the same inserts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from kilinda.partners import keys
from kilinda.partners.models import Organisation
from kilinda.stack.home import free_port
from tests.bench.report import Line, beside_floor

CLIENTS = 4
REQUESTS = 400
WSGI = "django.core.wsgi:get_wsgi_application()"


def measure() -> list[Line]:
    """Return submit_ratio and status_ratio."""
    organisation, _ = Organisation.objects.get_or_create(name="Bench", slug="bench")
    _, key = keys.issue(organisation=organisation, name="bench")
    with served("kilinda.settings") as product, served("tests.bench.bare_settings") as bare:
        body = json.dumps({"text": "Habari ya asubuhi, uchaguzi umeanza vizuri leo."}).encode()
        submits = [
            request("POST", "/api/v1/submissions", url, key, body) for url in (product, bare)
        ]
        reads = [
            request("GET", f"/api/v1/submissions/{_first_id(url, key, body)}", url, key)
            for url in (product, bare)
        ]
        return [
            beside_floor(
                "submit_ratio",
                "requests/s",
                lambda: speed(product, submits[0]),
                lambda: speed(bare, submits[1]),
                goal=">= 0.5",
            ),
            beside_floor(
                "status_ratio",
                "requests/s",
                lambda: speed(product, reads[0]),
                lambda: speed(bare, reads[1]),
                goal=">= 0.5",
            ),
        ]


@contextmanager
def served(settings: str) -> Iterator[str]:
    """Run gunicorn with these settings; yield its URL."""
    port = free_port()
    options = f"-k gthread -w 2 --threads 4 --keep-alive 30 --log-level warning -b 127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *options.split(), WSGI],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings, "KILINDA_LOG_LEVEL": "WARNING"},
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def request(method: str, path: str, url: str, key: str, body: bytes = b"") -> bytes:
    """Return a whole HTTP/1.1 request, so that the client costs as little as can be."""
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"X-API-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def speed(url: str, asked: bytes) -> float:
    """Send the request many times over a few kept connections; return answers a second."""
    threads = [
        threading.Thread(target=_send, args=[url, asked, REQUESTS // CLIENTS])
        for _ in range(CLIENTS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return REQUESTS / (time.perf_counter() - began)


def _send(url: str, asked: bytes, times: int) -> None:
    connection = _connect(url)
    for _ in range(times):
        connection.sendall(asked)
        status, _ = answer(connection)
        assert status in (200, 202), status
    connection.close()


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one response with a Content-Length; return its status and body."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65536)
        assert more, "the server closed the connection"
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), body


def _first_id(url: str, key: str, body: bytes) -> str:
    connection = _connect(url)
    connection.sendall(request("POST", "/api/v1/submissions", url, key, body))
    status, got = answer(connection)
    assert status == 202, got
    return str(json.loads(got)["id"])
