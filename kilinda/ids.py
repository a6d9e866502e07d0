"""Identifiers that sort by time, so that index pages fill in order."""

from __future__ import annotations

import os
import time
from uuid import UUID

_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)


def uuid7() -> UUID:
    """Return a version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then chance."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM_BITS
    return UUID(int=(milliseconds << 80) | _VERSION_7 | _VARIANT | random)
