"""Decode files in sandboxed processes, from any thread. What the rest of the worker calls."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from inference_worker.decoding import credentials, parcel
from inference_worker.decoding.child import CREDENTIAL, EXIT_NO_MEMORY, EXIT_NO_SANDBOX
from inference_worker.decoding.limits import MIB, Limits
from inference_worker.decoding.reading import Decoded
from inference_worker.errors import DecoderLost, Undecodable
from inference_worker.types import Credential, Modality, Provenance

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 5.0
"""How much longer than the file's own time limit the server may take to say that it has passed."""


class Decoder:
    """A pool of decoder servers, one a slot; as many files are decoded at once as there are slots.

    `server` names the module run as a server; tests put a hostile reader into the same sandbox.
    """

    def __init__(
        self,
        slots: int = 2,
        limits: Limits | None = None,
        server: str = "inference_worker.decoding.child",
        trusted: Path | None = None,
    ) -> None:
        """Start the servers at once (each about 0.2 s, side by side).

        `trusted` is a PEM file with the certificates of issuers whose credentials are trusted.
        """
        self._limits = limits or Limits()
        arguments = [] if trusted is None else [str(trusted)]
        self._servers = [_Server(server, arguments) for _ in range(slots)]
        self._idle: queue.SimpleQueue[_Server] = queue.SimpleQueue()
        for each in self._servers:
            each.start()
            self._idle.put(each)

    def decode(self, path: Path, modality: Modality) -> Decoded:
        """Return the file as Recording (audio), Picture (image) or Footage (video), with what its
        content credential says.

        Arrays map the sandbox's memory and hold one file descriptor while they live. Raises
        Undecodable (the file's fault, for good), DecoderLost (the decoder died or hung: worth
        another try, alone) and OSError if `path` cannot be opened. Waits for a free slot.
        """
        with _opened(path) as file_fd, self._slot() as server:
            with _shared_memory() as parcel_fd:
                answer = server.ask(file_fd, parcel_fd, modality, self._limits)
                _check_ending(answer, self._limits)
                content = parcel.unpack(parcel_fd)
            return replace(content, provenance=_provenance(server, file_fd))

    def close(self) -> None:
        """End the servers and what they are decoding."""
        for server in self._servers:
            server.stop()

    def __enter__(self) -> Self:
        """Return the decoder itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers now running."""
        return [server.pid for server in self._servers if server.pid is not None]

    @contextmanager
    def _slot(self) -> Iterator[_Server]:
        server = self._idle.get()
        try:
            yield server
        finally:
            self._idle.put(server)


def _provenance(server: _Server, file_fd: int) -> Provenance:
    """Return what the credential says. Whatever its reader runs into is a fact about the file."""
    try:
        with _shared_memory() as parcel_fd:
            answer = server.ask(file_fd, parcel_fd, CREDENTIAL, credentials.LIMITS)
            if answer.get("none"):
                return Provenance(Credential.NONE)
            _check_ending(answer, credentials.LIMITS)
            return parcel.unpack_provenance(parcel_fd)
    except Undecodable as refused:
        return Provenance(Credential.UNREADABLE, codes=(refused.code,))
    except DecoderLost as lost:
        logger.warning("credential not read: %s", lost)
        return Provenance(Credential.UNREADABLE, codes=("reader_failed",))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open for reading without ever waiting for a writer, as opening a pipe would."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Undecodable("unsupported", "This is not a regular file.")
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _shared_memory() -> Iterator[int]:
    """Yield an anonymous file: in memory on Linux, an unlinked temporary file elsewhere."""
    if sys.platform == "linux":
        fd = os.memfd_create("decoded", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield fd
    finally:
        os.close(fd)


def _check_ending(answer: dict[str, Any], limits: Limits) -> None:
    """Return if the child ended well; else raise what its end means."""
    if answer.get("timeout"):
        raise DecoderLost(f"Decoding took longer than {limits.wall_seconds:g} seconds.")
    if answer.get("exit") == 0:
        return
    if answer.get("exit") == EXIT_NO_MEMORY:
        raise Undecodable(
            "memory", f"Decoding needs more than {limits.memory_bytes // MIB:,} MiB of memory."
        )
    if answer.get("exit") == EXIT_NO_SANDBOX:
        raise DecoderLost("The decoder's sandbox could not be set up on this machine.")
    _check_signal(answer.get("signal"), limits)


def _check_signal(number: int | None, limits: Limits) -> None:
    if number == signal.SIGXCPU:
        raise Undecodable(
            "cpu", f"Decoding takes more than {limits.cpu_seconds} seconds of processor time."
        )
    if number == signal.SIGXFSZ:
        raise Undecodable(
            "result_size", f"The decoded file is larger than {limits.result_bytes // MIB:,} MiB."
        )
    name = signal.Signals(number).name if number else "an error"
    raise DecoderLost(f"The decoder was ended by {name}.")


class _Server:
    """One decoder server process and the socket to it; used by one thread at a time."""

    def __init__(self, module: str, arguments: list[str]) -> None:
        self._module = module
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process: in a session of its own, so that its whole group can be killed."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a module of ours
                [sys.executable, "-m", self._module, str(theirs.fileno()), *self._arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        self._control = ours

    def ask(self, file_fd: int, parcel_fd: int, asked: str, limits: Limits) -> dict[str, Any]:
        """Send one file, wait for how its reading ended. A server that is gone is started anew."""
        request = json.dumps({"asked": asked, "limits": asdict(limits)}).encode()
        if self._closed:
            raise DecoderLost("The decoder is closed.")
        try:
            self._send(request, [file_fd, parcel_fd])
            return self._answer(limits.wall_seconds + _GRACE_SECONDS)
        except (OSError, ValueError) as error:
            self._kill()
            raise DecoderLost("The decoder server was lost while it read the file.") from error

    def _send(self, request: bytes, fds: list[int]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._kill()
            self.start()
        assert self._control is not None
        socket.send_fds(self._control, [request], fds)

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._control is not None
        self._control.settimeout(seconds)
        line = self._control.recv(4096)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the server hung up")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self._closed = True
        self._kill()

    def _kill(self) -> None:
        """Kill the server and its child, and reap it."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if control is not None:
            control.close()


def _environment() -> dict[str, str]:
    """Only what Python needs to start: the worker's secrets stay out of reach of hostile files."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    tuning = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # A child touches all of its memory for the first time: huge pages halve what a picture costs.
    tuning["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    return {**kept, **tuning, "PYTHONPATH": os.pathsep.join(p or os.curdir for p in sys.path)}
