"""A detector small enough to reason about, for tests of everything around detectors."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference_worker.calibration import Platt
from inference_worker.registry import ModelFolder, Registry
from inference_worker.types import (
    Abstention,
    Judgement,
    Modality,
    Passage,
    Prepared,
    Reliability,
    Score,
    Segment,
    Window,
)

MEASURED = Reliability("all", auc=0.9, low=0.87, high=0.93, n=400)


@dataclass
class WordCounter:
    """Scores a text by its share of the word "bad"; one window for every four words."""

    name: str = "toy"
    version: str = "1"
    label: str = "abuse"
    batch_size: int = 4
    batches: list[list[int]] = field(default_factory=list)
    poison: str = "poison"
    gate: threading.Event | None = None
    reliability: Reliability | None = MEASURED

    def prepare(self, content: Passage) -> Prepared | Abstention:
        words = content.text.split()
        if not words:
            return Abstention(self.name, self.version, self.label, "too_short", "There is no word.")
        if words == ["unpreparable"]:
            raise RuntimeError("cannot prepare")
        groups = [words[start : start + 4] for start in range(0, len(words), 4)]
        return Prepared(
            tuple(
                Window(group, len(group), 4.0 * place, 4.0 * place + len(group))
                for place, group in enumerate(groups)
            )
        )

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        if self.gate:
            assert self.gate.wait(10)
        self.batches.append([window.length for window in windows])
        if any(self.poison in window.features for window in windows):
            raise RuntimeError("poison")
        return np.array([window.features.count("bad") for window in windows], np.float32)

    def interpret(self, prepared: Prepared, logits: np.ndarray) -> Judgement:
        chances = [Platt(offset=-1.0).probability(float(logit)) for logit in logits]
        return Score(
            self.name,
            self.version,
            self.label,
            max(chances),
            float(logits.max()),
            tuple(
                Segment(window.start, window.end, chance)
                for window, chance in zip(prepared.windows, chances, strict=True)
            ),
            reliability=self.reliability,
        )

    def warm_up(self) -> None:
        self.forward([Window(["warm"], 1, 0, 1)])


class LineCounter(WordCounter):
    """Scores each line for itself, and says which characters it was."""

    def prepare(self, content: Passage) -> Prepared:
        spans = [match.span() for match in re.finditer(r".+", content.text)]
        return Prepared(
            tuple(Window(content.text[a:b].split(), b - a, float(a), float(b)) for a, b in spans)
        )


def registry(*detectors: WordCounter, modality: Modality = Modality.TEXT) -> Registry:
    """Return a registry of these detectors, as if each had been loaded from a folder."""
    return Registry(tuple((_folder(detector, modality), detector) for detector in detectors))


def _folder(detector: WordCounter, modality: Modality) -> ModelFolder:
    return ModelFolder(
        path=Path(),
        name=detector.name,
        version=detector.version,
        task=detector.label,
        modality=modality,
        detector="toy",
        labels=("fine", "bad"),
        calibration=Platt(),
        threshold=0.5,
        languages=(),
        gates={},
        metrics={},
        training={},
        files={},
    )
