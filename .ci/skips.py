"""Fails when a test was skipped that `.ci/allowed-skips` does not name.

A skipped test proves nothing, so each one is either listed with its reason or made to run.
Usage: python3 .ci/skips.py JUNIT_XML ALLOWED
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatchcase
from pathlib import Path


def main() -> int:
    """Print every skip that is not allowed; return how the run should end."""
    report, allowed = sys.argv[1:]
    patterns = read_patterns(Path(allowed))
    surprises = [
        f"{name}: {reason}"
        for name, reason in skips(Path(report))
        if not any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    for surprise in surprises:
        sys.stderr.write(f"skipped, but not listed in {allowed}: {surprise}\n")
    return 1 if surprises else 0


def read_patterns(path: Path) -> list[str]:
    """Return the patterns of the list, without comments and empty lines."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def skips(report: Path) -> list[tuple[str, str]]:
    """Return the name (module::test) and the reason of every skipped test."""
    # Our own pytest wrote this file a moment ago.
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314
    return [
        (f"{case.get('classname')}::{case.get('name')}", str(skipped.get("message")))
        for case in cases
        if (skipped := case.find("skipped")) is not None and skipped.get("type") != "pytest.xfail"
    ]


if __name__ == "__main__":
    sys.exit(main())
