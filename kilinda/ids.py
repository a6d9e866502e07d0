"""Identifiers that sort by time, so that index pages fill in order."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)
_BYTES = 10
_POOL_BYTES = 100 * _BYTES


class _Chance(threading.local):
    """Random bytes drawn in advance: a system call costs more than an id. One pool a thread."""

    pool = b""

    def draw(self) -> bytes:
        if not self.pool:
            self.pool = os.urandom(_POOL_BYTES)
        drawn, self.pool = self.pool[:_BYTES], self.pool[_BYTES:]
        return drawn

    def forget(self) -> None:
        """Drop what was drawn, so that a forked process does not give out its parent's ids."""
        self.pool = b""


_chance = _Chance()
os.register_at_fork(after_in_child=_chance.forget)


def uuid7() -> UUID:
    """Return a version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix time in ms, then chance."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(_chance.draw(), "big") & _RANDOM_BITS
    return UUID(int=(milliseconds << 80) | _VERSION_7 | _VARIANT | random)
