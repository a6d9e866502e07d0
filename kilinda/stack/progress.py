"""What the operator reads while the stack starts, runs and ends."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


def say(message: str) -> None:
    """Write one progress line with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f} s] {message}\n")
    sys.stderr.flush()
