"""Outlives the supervisor by a moment and ends what it left behind, even after kill -9.

Run by path with the supervisor's pipe as standard input. Lines "+N" and "-N" name the process
groups that are alive; end of input means the supervisor is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

MARK = "KILINDA_STACK_RUN"
SWEEP_SECONDS = 10.0


def main() -> None:
    """Follow the supervisor to its end, then end every group and every marked process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in read_groups():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    end_marked(os.environ[MARK])


def read_groups() -> set[int]:
    """Return the groups still alive when the pipe closes."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, number = line[0], int(line[1:])
        groups.add(number) if sign == "+" else groups.discard(number)
    return groups


def end_marked(mark: str) -> None:
    """Kill whatever carries our mark, such as a decoder that made a session of its own."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while (pids := marked(mark)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def marked(mark: str) -> list[int]:
    """Return the processes started with our mark in their environment (Linux only)."""
    entry = f"{MARK}={mark}".encode()
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if int(folder.name) != os.getpid() and entry in _environment(folder)
    ]


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or another user's
        return []


if __name__ == "__main__":
    main()
