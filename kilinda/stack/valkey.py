"""The embedded Valkey, which speaks the Redis protocol: broker, channel layer and cache."""

from __future__ import annotations

import socket
from functools import partial

from kilinda.stack import binaries
from kilinda.stack.home import Home, free_port, write_private
from kilinda.stack.service import Service, Tier

DATABASES = 64  # one for each parallel test process
PROBE_TIMEOUT_SECONDS = 1.0


def service(home: Home, *, throwaway: bool = False) -> tuple[Service, str]:
    """Return the service and its URL."""
    folder = home.path / "valkey"
    folder.mkdir(exist_ok=True, mode=0o700)
    port, password = free_port(), home.secret("valkey_password")
    # In a file, because a command line can be read by everyone on the machine.
    settings = folder / "valkey.conf"
    write_private(settings, _settings(port, password, "no" if throwaway else "yes"))
    return Service(
        name="valkey",
        command=(str(binaries.valkey_server()), str(settings), "--dir", str(folder)),
        tier=Tier.STATE,
        problem=partial(_problem, port, password),
    ), f"redis://:{password}@127.0.0.1:{port}/0"


def _settings(port: int, password: str, append_only: str) -> str:
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f"databases {DATABASES}",
        f"appendonly {append_only}",
        # A lost second of doorbells is repaired by the sweep, so an fsync a command buys nothing.
        "appendfsync everysec",
        'save ""',
    ]
    return "\n".join(lines) + "\n"


def _problem(port: int, password: str) -> str:
    """Return nothing once the server answers PING (it refuses while it loads its data)."""
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_SECONDS) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                login, pong = answers.readline(), answers.readline()
    except OSError as error:
        return str(error)
    return "" if (login, pong) == (b"+OK\r\n", b"+PONG\r\n") else pong.decode().strip()
