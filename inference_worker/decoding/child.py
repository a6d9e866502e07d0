"""The decoder server: one small process that forks a locked-in child for every file.

Forking is cheap because this process is small and has one thread; the inference worker that asks
has neither property. Its arguments are a socket and, if credentials of some issuers are trusted,
the file of their certificates. It answers one request at a time on the socket:

    request  one JSON line {"asked", "limits"} with two file descriptors: the file, the parcel;
             asked is the modality to decode as, or "credential"
    answer   one JSON line {"exit": n} | {"signal": n} | {"timeout": true}, or {"none": true}
             where the file has no credential

It ends when the socket closes, and its child with it, so nothing outlives a killed worker.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from inference_worker.decoding import parcel, sandbox
from inference_worker.decoding.credentials import CredentialReader, may_carry
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.reading import Decoded, read
from inference_worker.errors import Undecodable
from inference_worker.types import Modality, Provenance

CREDENTIAL = "credential"
EXIT_NO_SANDBOX, EXIT_NO_MEMORY = 3, 4

Reader = Callable[[IO[bytes], Modality, Limits], Decoded]
Reading = Callable[[], Decoded | Provenance]


@dataclass(frozen=True, slots=True)
class Readers:
    """What children do; tests put hostile ones into the same sandbox."""

    content: Reader = read
    credential: type[CredentialReader] = CredentialReader
    trusted: str = ""
    """Certificates whose credentials are trusted, as PEM."""

    def ready(self, file: IO[bytes], asked: str, limits: Limits) -> Reading:
        """Return what the child shall do once it is locked in. Must not read the file yet."""
        if asked == CREDENTIAL:
            return self.credential(file, self.trusted).read
        return partial(self.content, file, Modality(asked), limits)


def main(readers: Readers | None = None) -> None:
    """Serve until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
    sandbox.leave_the_network()
    trusted = Path(sys.argv[2]).read_text() if len(sys.argv) > 2 else ""
    chosen = replace(readers or Readers(), trusted=trusted)
    gc.collect()
    gc.freeze()  # or the first collection in each child copies every page
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while True:
            message, fds, _, _ = socket.recv_fds(control, 65_536, 2)
            if not message:
                return
            answer = _attend(control, json.loads(message), fds, chosen)
            with suppress(BrokenPipeError):  # a parent gone meanwhile is noticed by the next read
                control.sendall(json.dumps(answer).encode() + b"\n")


def _attend(
    control: socket.socket, request: dict[str, Any], fds: list[int], readers: Readers
) -> dict[str, Any]:
    try:
        if request["asked"] == CREDENTIAL and not may_carry(fds[0]):
            return {"none": True}
        return _read(control, request, fds, readers)
    finally:
        for fd in fds:
            os.close(fd)


def _read(
    control: socket.socket, request: dict[str, Any], fds: list[int], readers: Readers
) -> dict[str, Any]:
    limits = Limits(**request["limits"])
    alive, child_alive = os.pipe()
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(alive)
        _child(server, fds, request["asked"], limits, readers)
    os.close(child_alive)
    timed_out = _outlasts(control, alive, limits.wall_seconds)
    if timed_out:
        os.kill(pid, signal.SIGKILL)
    os.close(alive)
    _, status = os.waitpid(pid, 0)
    return {"timeout": True} if timed_out else _ending(status)


def _ending(status: int) -> dict[str, int]:
    code = os.waitstatus_to_exitcode(status)
    return {"exit": code} if code >= 0 else {"signal": -code}


def _outlasts(control: socket.socket, alive: int, seconds: float) -> bool:
    """Wait for the child's end, which closes its side of `alive`. True if time ran out first.

    The parent says nothing meanwhile, so any event on `control` means that it has gone.
    """
    poll = select.poll()
    poll.register(alive, select.POLLIN)
    poll.register(control, select.POLLIN)
    ready = dict(poll.poll(seconds * 1000))
    return alive not in ready


def _child(server: int, fds: list[int], asked: str, limits: Limits, readers: Readers) -> None:
    """Lock in, read, write the parcel, end. Never returns; the exit code says how it went."""
    file_fd, parcel_fd = fds
    try:
        sandbox.die_with(server)
        os.dup2(1, 2)  # stdout is /dev/null: what a decoder prints is under the file's control
        file = os.fdopen(file_fd, "rb")
        reading = readers.ready(file, asked, limits)
        sandbox.confine(limits)
    except (OSError, ValueError):
        os._exit(EXIT_NO_SANDBOX)
    try:
        _write(parcel_fd, reading)
    except MemoryError:
        os._exit(EXIT_NO_MEMORY)
    os._exit(0)


def _write(parcel_fd: int, reading: Reading) -> None:
    try:
        value = reading()
    except MemoryError:
        raise
    except Undecodable as refusal:
        parcel.pack_refusal(parcel_fd, refusal, repr(refusal.__cause__))
    except Exception as error:  # noqa: BLE001 - hostile bytes raise anything; the file is at fault
        damaged = Undecodable("damaged", "The file is damaged and could not be decoded.")
        parcel.pack_refusal(parcel_fd, damaged, repr(error))
    else:
        parcel.pack(parcel_fd, value)


if __name__ == "__main__":
    main()
