"""Lock a process in before it touches a hostile file: little memory and time, few system calls.

Linux (x86_64, aarch64): rlimits, an empty network namespace where the kernel allows one, and a
seccomp filter that lets through only what decoding from open file descriptors needs. No files can
be opened, no sockets made, no programs or processes started, no memory made executable.
macOS has no counterpart a process can apply to itself by a stable interface: there only the
rlimits hold. Any other Linux machine refuses to decode rather than do so unprotected.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys

from inference_worker.decoding.limits import Limits

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

OPEN_FILES = 32
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWIPC = 0x0800_0000
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000


def leave_the_network() -> bool:
    """Move this process and its children to an empty network; False where that is not allowed.

    Containers often forbid it. The seccomp filter denies sockets anyway: this is a second wall.
    """
    if not _LINUX:
        return False
    return bool(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) == 0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent, pid `parent`, is gone."""
    if not _LINUX:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


def confine(limits: Limits) -> None:
    """Apply every wall to this process for good. Raises OSError if one cannot be built."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.result_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    # The soft limit kills with SIGXCPU, which names the reason; the hard one if that is caught.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    if _LINUX:
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _install_filter()


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl option {option} was refused")


# seccomp: a classic BPF program over struct seccomp_data: int nr, u32 arch, u64 ip, u64 args[6].

_NUMBER, _ARCH, _ARGUMENT_2 = 0, 4, 16 + 2 * 8
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _DENY, _ALLOW = 0x8000_0000, 0x0005_0000 | errno.EPERM, 0x7FFF_0000
_PROT_EXEC = 4
_X32_NUMBERS = 0x4000_0000

# Audit architecture, then numbers from the kernel's tables (asm/unistd_64.h; asm-generic/unistd.h).
_MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000_003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10,
            "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
            "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "sched_yield": 24,
            "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60, "fcntl": 72,
            "ftruncate": 77, "gettimeofday": 96, "getrusage": 98, "sigaltstack": 131, "gettid": 186,
            "time": 201, "futex": 202, "sched_getaffinity": 204, "clock_gettime": 228,
            "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "set_robust_list": 273,
            "getrandom": 318, "membarrier": 324, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC000_00B7,
        {
            "fcntl": 25, "ftruncate": 46, "close": 57, "lseek": 62, "read": 63, "write": 64,
            "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "fstat": 80, "exit": 93,
            "exit_group": 94, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
            "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
            "sched_getaffinity": 123, "sched_yield": 124, "sigaltstack": 132, "rt_sigaction": 134,
            "rt_sigprocmask": 135, "rt_sigreturn": 139, "getrusage": 165, "gettimeofday": 169,
            "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222,
            "mprotect": 226, "madvise": 233, "getrandom": 278, "membarrier": 283, "rseq": 293,
        },
    ),
}  # fmt: skip
_MAKES_MEMORY_EXECUTABLE = ("mmap", "mprotect")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _install_filter() -> None:
    code = filter_code(platform.machine())
    program = _FilterProgram(len(code) // 8, code)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system call filter was refused")


def filter_code(machine: str) -> bytes:
    """Return the filter for a machine type as 8-byte BPF instructions; OSError if unknown."""
    if machine not in _MACHINES:
        raise OSError(errno.ENOTSUP, f"no system call filter is known for {machine}")
    audit_arch, numbers = _MACHINES[machine]
    program = [
        _step(_LOAD, _ARCH),
        _step(_JUMP_EQUAL, audit_arch, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_JUMP_AT_LEAST, _X32_NUMBERS, otherwise=1),
        _step(_RETURN, _KILL),
    ]
    for name, number in numbers.items():
        program += _rule(name, number)
    return b"".join([*program, _step(_RETURN, _DENY)])


def _rule(name: str, number: int) -> list[bytes]:
    if name not in _MAKES_MEMORY_EXECUTABLE:
        return [_step(_JUMP_EQUAL, number, otherwise=1), _step(_RETURN, _ALLOW)]
    return [
        _step(_JUMP_EQUAL, number, otherwise=4),
        _step(_LOAD, _ARGUMENT_2),
        _step(_JUMP_BITS, _PROT_EXEC, otherwise=1),
        _step(_RETURN, _DENY),
        _step(_RETURN, _ALLOW),
    ]


def _step(code: int, operand: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One struct sock_filter; `then` and `otherwise` are how many instructions a jump skips."""
    return struct.pack("=HBBI", code, then, otherwise, operand)
