"""Rings a lane's doorbell: "there is work", nothing more. Losing a ring costs latency, never a job.

A thread of its own does the publishing, so that no request ever waits for the broker; rings for a
lane merge into one until a worker begins to drain it. The sweep repairs whatever was lost.
"""

from __future__ import annotations

import threading

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from detection.models import AnalysisJob
from kilinda import broker
from kilinda.celery import app

log = structlog.get_logger(__name__)

TASKS = {
    AnalysisJob.Lane.FETCH: "detection.tasks.drain_fetch",
    AnalysisJob.Lane.SCREEN: "detection.tasks.drain_screen",
    AnalysisJob.Lane.MEDIA: "detection.tasks.drain_media",
}

EXPLAINERS = {
    AnalysisJob.Lane.SCREEN: "detection.tasks.explain_screen",
    AnalysisJob.Lane.MEDIA: "detection.tasks.explain_media",
}


RING_LASTS_SECONDS = 2.0


class Ringer:
    """Publishes rings from a daemon thread that starts with the first ring of the process."""

    def __init__(self) -> None:
        self._pending: set[tuple[str, tuple[int, ...]]] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, task: str, *ids: int) -> None:
        """Note that the task should run, and return at once."""
        with self._wake:
            self._pending.add((task, ids))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._pending:
                    self._wake.wait()
                rings, self._pending = self._pending, set()
            for task, ids in rings:
                if ids or _is_first(task):
                    publish(task, *ids)


def _is_first(task: str) -> bool:
    """Say whether no ring for this task is under way already: one wakes a worker, more cost time.

    A ring that was lost on its way hides others for RING_LASTS_SECONDS at most.
    """
    try:
        return bool(broker.client().set(_rung(task), 1, nx=True, px=int(1000 * RING_LASTS_SECONDS)))
    except RedisError as error:
        log.warning("doorbell_lost", task=task, error=str(error))
        return False


def answered(lane: str) -> None:
    """Say that a drain begins: what is queued from now on needs another ring."""
    try:
        broker.client().delete(_rung(TASKS[AnalysisJob.Lane(lane)]))
    except RedisError as error:
        log.warning("doorbell not answered", lane=lane, error=str(error))


def _rung(task: str) -> str:
    return f"kilinda:rung:{task}"


def publish(task: str, *ids: int) -> bool:
    """Send one message now; return whether the broker took it."""
    try:
        app.send_task(task, args=ids, retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("doorbell_lost", task=task, error=str(error))
        return False
    return True


_ringer = Ringer()


def ring(lane: str) -> None:
    """Ring the lane's doorbell. Never blocks, never raises; call it once the job is committed."""
    _ringer.ring(TASKS[AnalysisJob.Lane(lane)])


def ring_at_once(lane: str) -> bool:
    """Ring from a worker that may wait for the broker; return whether it took the message."""
    return publish(TASKS[AnalysisJob.Lane(lane)])


def ask_for_evidence(score_id: int, lane: str) -> None:
    """Ask a worker of the lane to explain a score. Never blocks, never raises."""
    _ringer.ring(EXPLAINERS[AnalysisJob.Lane(lane)], score_id)
