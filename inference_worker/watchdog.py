"""Ends a worker in which nothing gets done any more; its jobs then go to another one."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


def end_this_process() -> None:
    """Kill this process; a hung thread can be ended in no other way."""
    os.kill(os.getpid(), signal.SIGKILL)


class Watchdog:
    """Watches while work is under way; `tick` says that some of it is done."""

    def __init__(self, seconds: float, bark: Callable[[], None] = end_this_process) -> None:
        """Call `bark` once nothing was done for `seconds`, which may be infinite: never."""
        self.seconds = seconds
        self._bark = bark
        self._last = 0.0

    def tick(self) -> None:
        """Note that something was done: a pass of a model, a file read."""
        self._last = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch from a thread until the block ends."""
        if math.isinf(self.seconds):
            yield
            return
        done = threading.Event()
        self.tick()
        thread = threading.Thread(target=self._watch, args=[done], name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(max(0.01, self._last + self.seconds - time.monotonic())):
            if time.monotonic() - self._last >= self.seconds:
                log.critical("nothing was done for %g s; this worker ends", self.seconds)
                self._bark()
                return
