"""Turns itself into a service: bound to its parent's life and, for PostgreSQL, no longer root.

Run by path as `python -I -S launch.py PARENT_PID SIGNAL KEEP|DEMOTE PROGRAM ARGUMENT...`. A
program of its own because code between fork and exec in a process with threads may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def demote() -> None:
    """Stop being root: inside a user namespace where that is allowed, else as the user nobody.

    The namespace keeps the real owner, so that data may lie below folders only root can enter.
    """
    if enter_user_namespace():
        return
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def enter_user_namespace() -> bool:
    """Appear as nobody in a user namespace of our own; False where the system forbids it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(CLONE_NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")
    return True


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel signal us when the parent ends (outside Linux the guardian does)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it ended before the request was in place
        sys.exit(1)


def main() -> None:
    """Parse the command line and become the program."""
    parent, signal_number, rights, *command = sys.argv[1:]
    if rights == "DEMOTE":
        demote()
    # After the demotion: a change of credentials clears the request.
    die_with_parent(int(parent), int(signal_number))
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
