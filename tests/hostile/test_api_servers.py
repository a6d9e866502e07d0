"""The same answers from the real servers, where a request can go wrong before any view runs."""

import json
import os
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest
from django.db import connection

from detection.models import Submission
from kilinda.stack.home import free_port
from tests.detection.api.conftest import FORM, form
from tests.factories import api_key, picture_bytes

SERVERS = {
    "gunicorn": "gunicorn -k gthread --threads 4 -b 127.0.0.1:{port} --log-level warning "
    "kilinda.wsgi:application",
    "daphne": "daphne -b 127.0.0.1 -p {port} -v 0 kilinda.asgi:application",
}

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=SERVERS)
def server(request, wait_until_listening):
    """A running server on the test database; yields its port."""
    port = free_port()
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    process = subprocess.Popen(
        [sys.executable, "-m", *SERVERS[request.param].format(port=port).split()],
        env=os.environ | {"DATABASE_URL": url.geturl(), "KILINDA_LOG_LEVEL": "ERROR"},
    )
    try:
        wait_until_listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def wait_until_listening():
    """Return a function that waits for a server, at most 60 s; it must not have ended."""
    pause = threading.Event()

    def wait(process: subprocess.Popen, port: int) -> None:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            pause.wait(0.1)
        raise TimeoutError(port)

    return wait


def call(
    port: int, key: str, body: bytes, *headers: str, length: int | None = None
) -> tuple[int, dict]:
    """Post to the submissions over a plain socket; return status and JSON."""
    head = [
        "POST /api/v1/submissions HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"X-API-Key: {key}",
        "Connection: close",
        *([f"Content-Length: {len(body)}"] if length is None else []),
        *headers,
    ]
    with socket.create_connection(("127.0.0.1", port), 30) as link:
        link.sendall("\r\n".join([*head, "", ""]).encode() + body)
        got = b""
        while chunk := link.recv(65_536):
            got += chunk
    top, _, rest = got.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in top.lower():
        rest = rest.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return int(top.split()[1]), json.loads(rest)


JSON = "Content-Type: application/json"


def test_content_is_taken_and_hostile_requests_are_problems(server):
    _, key = api_key()

    status, body = call(server, key, b'{"text": "Habari"}', JSON)
    assert (status, body["status"]) == (202, "queued")
    status, body = call(server, key, form(picture_bytes()), f"Content-Type: {FORM}")
    assert (status, body["status"]) == (202, "queued")
    assert Submission.objects.count() == 2

    hostile = [
        (b'{"text": "x"}', ["Content-Type: application/json; charset*=bogus''x"], 415),
        (b'{"text": "' + b"x" * 30_000_000 + b'"}', [JSON], 413),
        (form(picture_bytes())[:-5], [f"Content-Type: {FORM}"], 400),
        (b'{"text": "\\ud800"}', [JSON], 400),
        (b"", [JSON], 400),
    ]
    for raw, headers, expected in hostile:
        status, problem = call(server, key, raw, *headers)
        assert (status, problem["status"]) == (expected, expected), headers
    chunked = b"d\r\n" + b'{"text": "x"}' + b"\r\n0\r\n\r\n"
    status, problem = call(server, key, chunked, JSON, "Transfer-Encoding: chunked", length=0)
    assert (status, problem["code"]) == (411, "length_required")
    assert Submission.objects.count() == 2
