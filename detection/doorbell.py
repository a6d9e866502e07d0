"""Rings a lane's doorbell: "there is work", nothing more. Losing a ring costs latency, never a job.

A thread of its own does the publishing, so that no request ever waits for the broker; rings for a
lane that come while it publishes merge into one. The sweep repairs whatever was lost.
"""

from __future__ import annotations

import threading

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from detection.models import AnalysisJob
from kilinda.celery import app

log = structlog.get_logger(__name__)

TASKS = {
    AnalysisJob.Lane.FETCH: "detection.tasks.drain_fetch",
    AnalysisJob.Lane.SCREEN: "detection.tasks.drain_screen",
    AnalysisJob.Lane.MEDIA: "detection.tasks.drain_media",
}


class Ringer:
    """Publishes rings from a daemon thread that starts with the first ring of the process."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, lane: str) -> None:
        """Note that the lane has work, and return at once."""
        with self._wake:
            self._pending.add(lane)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._pending:
                    self._wake.wait()
                lanes, self._pending = self._pending, set()
            for lane in lanes:
                publish(lane)


def publish(lane: str) -> bool:
    """Send one doorbell message now; return whether the broker took it."""
    try:
        app.send_task(TASKS[AnalysisJob.Lane(lane)], retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("doorbell_lost", lane=lane, error=str(error))
        return False
    return True


_ringer = Ringer()


def ring(lane: str) -> None:
    """Ring the lane's doorbell. Never blocks, never raises; call it once the job is committed."""
    _ringer.ring(lane)
