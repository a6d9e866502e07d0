"""The data folder KILINDA_HOME: its lock, its secrets, and the note about the running stack."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from kilinda.stack.errors import AlreadyRunning

LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOCK_PATIENCE_SECONDS = 2.0  # a killed stack's guardian holds the lock until all have ended


@dataclass(frozen=True)
class Home:
    """Paths inside one data folder."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        """Make the folder, readable by its owner only, and return it."""
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(path.resolve())

    @property
    def note(self) -> Path:
        """The file that tells manage.py in another shell where the servers are."""
        return self.path / "stack.json"

    @property
    def metrics(self) -> Path:
        """Where the processes keep their Prometheus samples."""
        return self.path / "metrics"

    def log(self, name: str) -> Path:
        """Return a service's log file, set aside as NAME.log.1 first when it has grown large."""
        path = self.path / "logs" / f"{name}.log"
        path.parent.mkdir(exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def lock(self) -> int:
        """Hold the folder for this process; return the descriptor that holds it.

        Raises AlreadyRunning with the other copy's process id and URL.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                pid = os.pread(descriptor, 32, 0).decode() or "unknown"
                os.close(descriptor)
                raise AlreadyRunning(self._who_is_running(pid))
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def _who_is_running(self, pid: str) -> str:
        port = self.running().get("port")
        where = f", http://127.0.0.1:{port}" if port else ""
        return (
            f"already running in {self.path} (process {pid}{where}). "
            "Stop it with Ctrl-C there, or set KILINDA_HOME and KILINDA_PORT for a second copy."
        )

    def secret(self, name: str) -> str:
        """Return the secret kept under this name, made at its first use."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(48))
        return path.read_text()

    def publish(self, **facts: str | int | None) -> None:
        """Tell other shells where the running servers are."""
        write_private(self.note, json.dumps(facts))

    def running(self) -> dict[str, str | int | None]:
        """Return what the running stack published, or nothing."""
        try:
            facts: dict[str, str | int | None] = json.loads(self.note.read_text())
        except (OSError, ValueError):
            return {}
        return facts

    def withdraw(self) -> None:
        """Remove the note about the running stack."""
        self.note.unlink(missing_ok=True)

    def empty_metrics(self) -> Path:
        """Return the metrics folder without the samples of an earlier run."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir()
        return self.metrics


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(content)
    draft.replace(path)


def free_port() -> int:
    """Return a port of 127.0.0.1 nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
