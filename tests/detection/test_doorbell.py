from __future__ import annotations

import socket

import pytest

from detection import doorbell
from kilinda import broker

LANE = "screen"
TASK = doorbell.TASKS[doorbell.AnalysisJob.Lane.SCREEN]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    broker.client().delete(doorbell._rung(TASK))


def test_rings_merge_until_a_worker_begins() -> None:
    assert doorbell._is_first(TASK)
    assert not doorbell._is_first(TASK)
    doorbell.answered(LANE)
    assert doorbell._is_first(TASK)


def test_a_lost_ring_hides_others_for_a_moment_only() -> None:
    doorbell._is_first(TASK)
    left = broker.client().pttl(doorbell._rung(TASK))
    assert 0 < left <= 1000 * doorbell.RING_LASTS_SECONDS


def test_without_a_broker_nothing_is_raised(settings) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    assert not doorbell._is_first(TASK)
    doorbell.answered(LANE)
