"""A detector that does what a text tells it to: wait at a gate, or kill its own process.

Loaded into the workers of a test's stack by the sitecustomize that `tests.stack.harness` writes;
the platform itself knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference_worker.registry import DETECTORS, ModelFolder
from inference_worker.types import Abstention, Judgement, Passage, Prepared, Score, Window
from tests.inference_worker.toys import WordCounter

POISON = "kill-the-worker"
GATE = "gate:"
GATE_PATIENCE_SECONDS = 60.0
FORWARD_SECONDS = 0.01


class Puppet(WordCounter):
    """WordCounter with strings attached. Its raw score is the id of the process that ran it."""

    def __init__(self, folder: ModelFolder) -> None:
        super().__init__(name=folder.name, version=folder.version, label=folder.task)

    def prepare(self, content: Any) -> Prepared | Abstention:
        seen = content if isinstance(content, Passage) else Passage("some media")
        return super().prepare(seen)

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        threading.Event().wait(FORWARD_SECONDS)
        for word in (word for window in windows for word in window.features):
            if word == POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            if word.startswith(GATE):
                wait_at(gates() / word.removeprefix(GATE))
        return super().forward(windows)

    def interpret(self, prepared: Prepared, logits: np.ndarray) -> Judgement:
        judged = super().interpret(prepared, logits)
        assert isinstance(judged, Score)
        return replace(judged, raw=float(os.getpid()))


def gates() -> Path:
    """Return the folder in which gates are files: PID arrived, PID.open may go on."""
    return Path(os.environ["KILINDA_HOME"]) / "gates"


def wait_at(gate: Path) -> None:
    gate.mkdir(parents=True, exist_ok=True)
    (gate / str(os.getpid())).touch()
    pause, end = threading.Event(), time.monotonic() + GATE_PATIENCE_SECONDS
    while not (gate / f"{os.getpid()}.open").exists():
        assert time.monotonic() < end, "nobody opened the gate"
        pause.wait(0.02)


def register() -> None:
    assert isinstance(DETECTORS, dict)
    DETECTORS["puppet"] = "tests.stack.toys:Puppet"
