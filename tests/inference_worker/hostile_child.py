"""A decoder server whose reader does what the file says: an attacker in the real sandbox."""

import contextlib
import ctypes
import mmap
import os
import resource
import socket
import sys
import time
from pathlib import Path

import numpy as np

from inference_worker.decoding.child import Readers, main
from inference_worker.decoding.credentials import CredentialReader
from inference_worker.decoding.reading import read
from inference_worker.types import Credential, Provenance, Recording


def open_socket(kind):
    socket.socket(kind)


def run_program():
    os.execv(sys.executable, [sys.executable, "-c", "1"])  # returns only if it is denied


def start_process():
    if os.fork() == 0:
        os._exit(0)


def open_file():
    Path("/etc/passwd").read_bytes()


def reopen_own_file_for_writing():
    os.open("/proc/self/fd/3", os.O_RDWR)


def kill_parent():
    os.kill(os.getppid(), 9)


def trace_parent():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def make_memory_executable():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def lift_a_limit():
    libc = ctypes.CDLL(None, use_errno=True)
    unlimited = (ctypes.c_ulong * 2)(resource.RLIM_INFINITY % 2**64, resource.RLIM_INFINITY % 2**64)
    if libc.setrlimit(resource.RLIMIT_AS, unlimited) != 0:
        raise OSError(ctypes.get_errno(), "setrlimit")


DENIED = {
    "tcp": lambda: open_socket(socket.AF_INET),
    "unix": lambda: open_socket(socket.AF_UNIX),
    "exec": run_program,
    "fork": start_process,
    "open": open_file,
    "reopen": reopen_own_file_for_writing,
    "kill": kill_parent,
    "ptrace": trace_parent,
    "executable memory": make_memory_executable,
    "rlimit": lift_a_limit,
}


def spin():
    while True:
        pass


def sleep():
    time.sleep(3600)


def garble_parcel():
    for fd in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(fd, b"\x10\0\0\0\0\0\0\0" + b'{"sound": [[-1],')
    os._exit(0)


def overfill_parcel():
    return Recording(np.zeros(100_000_000, np.float32), 1.0)


ACTS = {
    "allocate": lambda: np.ones(4 << 30, np.uint8),
    "spin": spin,
    "sleep": sleep,
    "crash": lambda: ctypes.string_at(0),
    "garble": garble_parcel,
    "overfill": overfill_parcel,
    "raise": lambda: 1 // 0,
}


def read_hostile(file, modality, limits):
    """Answer a denied attempt with a Recording of one sample: the errno; a success with 0."""
    order = file.read(64).decode(errors="replace")
    if order in ACTS:
        return ACTS[order]()
    if order not in DENIED:
        file.seek(0)
        return read(file, modality, limits)
    number = 0
    try:
        DENIED[order]()
    except OSError as error:
        number = error.errno
    return Recording(np.array([number], np.float32), 1.0)


def boast():
    """Claim more than anybody may store, in letters that steer a terminal or a page."""
    return Provenance(
        Credential.VALID,
        issuer="x" * 10_000,
        signer="evil\u202e\x1b\nliar",
        actions=("c2pa.created",) * 1_000,
    )


class HostileCredentialReader(CredentialReader):
    """Does what the end of the file says."""

    def read(self):
        self._file.seek(0)
        _, asked, order = self._file.read().rpartition(b"act=")
        if not asked:
            return super().read()
        act = order.rstrip(b";").decode()
        if act in DENIED:
            try:
                DENIED[act]()
            except OSError as error:
                return Provenance(Credential.UNREADABLE, codes=(type(error).__name__,))
            return Provenance(Credential.VALID)
        return boast() if act == "boast" else ACTS[act]()


if __name__ == "__main__":
    main(Readers(read_hostile, HostileCredentialReader))
