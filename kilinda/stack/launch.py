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
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def demote() -> None:
    """Stop being root: inside a user namespace where that is allowed, else as the user nobody.

    The namespace keeps the real owner, so that data may lie below folders only root can enter.
    """
    if enter_user_namespace():
        return
    become_nobody()


def become_nobody() -> None:
    """Change to the user nobody, still able to enter folders closed to it, such as /root.

    That ability is the capability CAP_DAC_OVERRIDE, made ambient so that it outlives execve().
    A container's root may lack it; then the folders themselves must let nobody in.
    """
    libc = ctypes.CDLL(None)
    is_linux = sys.platform == "linux"
    if is_linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if is_linux:
        kept = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        # Effective, permitted and inheritable, for capabilities 0-31 and then 32-63.
        libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0))
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


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
