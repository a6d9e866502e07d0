"""Reads the operator's settings: the environment, then the file `.env` beside the Makefile."""

from __future__ import annotations

import os
from pathlib import Path

from kilinda.stack.errors import StackError


def load(path: Path) -> None:
    """Add the file's NAME=value lines, if there is one, to the environment, which wins."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise StackError(f"{path}, line {number}: expected NAME=value")
        os.environ.setdefault(name.strip(), value.strip().strip("\"'"))


def given(name: str) -> str:
    """Return the variable, or the content of the file named by NAME_FILE, or nothing."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return os.environ.get(name) or Path(path).read_text().strip()
        except OSError as error:
            raise StackError(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
    return os.environ.get(name, "")
