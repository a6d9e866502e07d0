"""A worker in which nothing gets done ends; one that is merely slow does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from inference_worker.detectors.device import bearable_batch
from inference_worker.runtime import Runtime
from inference_worker.watchdog import Watchdog
from tests.inference_worker.test_runtime import ListSource
from tests.inference_worker.toys import WordCounter, registry

HANGS = """
import threading
from inference_worker.watchdog import Watchdog
with Watchdog(0.2).watching():
    threading.Event().wait(60)
"""


def test_a_process_that_hangs_is_killed() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_forward_pass_that_hangs_is_noticed() -> None:
    barked = threading.Event()
    detector = WordCounter(gate=barked)  # the pass waits for the bark
    runtime = Runtime(registry(detector), None, watchdog=Watchdog(0.2, barked.set))
    runtime.drain(ListSource(["one"]))
    assert barked.is_set()
    runtime.close()


def test_many_slow_passes_are_no_hang() -> None:
    class Slow(WordCounter):
        def forward(self, windows):
            threading.Event().wait(0.15)
            return super().forward(windows)

    barked = threading.Event()
    runtime = Runtime(registry(Slow(batch_size=1)), None, watchdog=Watchdog(0.6, barked.set))
    source = ListSource([f"text {n}" for n in range(8)])  # 1.2 s of work altogether
    assert runtime.drain(source) == 8
    assert not barked.is_set()
    runtime.close()


def test_nothing_is_watched_between_drains() -> None:
    barked = threading.Event()
    watchdog = Watchdog(0.05, barked.set)
    with watchdog.watching():
        watchdog.tick()
    assert not barked.wait(0.2)


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        (1e-4, 64),  # small models: as many as the detector likes
        (1.0, 30),
        (100.0, 1),  # slower than that it cannot be helped
    ],
)
def test_slow_models_get_smaller_batches(seconds: float, rows: int) -> None:
    assert bearable_batch(seconds, 64) == rows
