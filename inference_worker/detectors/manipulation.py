"""Judges whether a real picture was altered: parts copied within it, or pasted from elsewhere.

Copies are found by matching (duplicates.py), foreign parts by a small network over a grid of local
statistics (inconsistency.py); a logistic head makes one score of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModelForSemanticSegmentation

from inference_worker.detectors.device import choose_device
from inference_worker.detectors.duplicates import (
    TRAITS,
    Duplicate,
    find_duplicate,
    traits_of,
)
from inference_worker.detectors.inconsistency import CELL, CHANNELS, cell_statistics
from inference_worker.detectors.network import PREPROCESSOR, Statistics
from inference_worker.detectors.picture_gates import contrast, flat_share
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder
from inference_worker.reliability import reliability_of
from inference_worker.types import (
    Abstention,
    Judgement,
    MapEvidence,
    Picture,
    Prepared,
    Score,
    Window,
)

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

FRONT_END = "cell_statistics"
MOST_SIDE = 640
"""Pixels; larger pictures are scaled down to this, which bounds the time."""
GRID = 32
"""Rows and columns of the maps that explain() gives."""
SUMMARY = 4
"""Figures taken from the map of foreign parts."""


@dataclass(frozen=True, slots=True)
class Look:
    """What forward() takes of one picture."""

    cells: Floats
    """Standardised statistics, shape (CHANNELS, rows, columns)."""
    traits: Floats
    """Of the most convincing copy, shape (TRAITS,)."""


@dataclass(frozen=True, slots=True)
class Head:
    """Logistic regression over the summary of the map and the traits of the copy."""

    weights: Floats
    """Shape (SUMMARY + TRAITS,)."""
    offset: float

    @classmethod
    def load(cls, folder: ModelFolder) -> Head:
        """Read it from PREPROCESSOR. Raises ModelUnusable when it is missing or misshapen."""
        stated = json.loads((folder.path / PREPROCESSOR).read_text(encoding="utf-8")).get("head")
        if not isinstance(stated, Mapping):
            raise ModelUnusable(f"{folder}/{PREPROCESSOR} holds no head.")
        weights = np.asarray(stated.get("weights", ()), np.float32)
        if weights.shape != (SUMMARY + TRAITS,):
            raise ModelUnusable(f"{folder}/{PREPROCESSOR}: head needs {SUMMARY + TRAITS} weights.")
        return cls(weights, float(stated.get("offset", 0.0)))

    def log_odds(self, summary: Floats, traits: Floats) -> float:
        """Return the log odds of a manipulated picture."""
        return float(np.concatenate([summary, traits]) @ self.weights) + self.offset


def working_size(pixels: Pixels) -> Pixels:
    """Return the picture with its longer side at most MOST_SIDE."""
    longer = max(pixels.shape[:2])
    if longer <= MOST_SIDE:
        return pixels
    scale = MOST_SIDE / longer
    return np.asarray(
        cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def summary_of(foreign: Floats) -> Floats:
    """Return SUMMARY figures of a map of log odds: its peak, its top, its extent, its middle."""
    smooth = cv2.blur(foreign, (3, 3))
    top = np.sort(foreign, axis=None)[-max(foreign.size // 50, 1) :]
    extent = np.log1p((foreign > 0).sum()) - np.log1p(foreign.size)
    figures = (smooth.max(), top.mean(), extent, np.median(foreign))
    return np.array(figures, np.float32)


@torch.inference_mode()
def foreign_map(model: Any, cells: Floats) -> Floats:
    """Return the log odds that each part of the picture is foreign to it, shape (rows, columns)."""
    scores = model(pixel_values=torch.from_numpy(cells[None]).to(model.device)).logits[0].float()
    return np.asarray((scores[1] - scores[0]).cpu().numpy(), np.float32)


def grey_of(pixels: Pixels) -> Pixels:
    """Return the brightness of an RGB picture, shape (height, width)."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


class ManipulationDetector:
    """Scores a Picture by what copying and pasting leave behind."""

    batch_size = 8

    def __init__(self, folder: ModelFolder) -> None:
        """Load the network and the head. Raises ModelUnusable when the files do not fit."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        statistics = Statistics.load(folder, FRONT_END, CHANNELS)
        if statistics is None:
            raise ModelUnusable(f"{folder}/{PREPROCESSOR} must be of the front end {FRONT_END}.")
        self._statistics = statistics
        self._head = Head.load(folder)
        try:
            self._model = AutoModelForSemanticSegmentation.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder} cannot be loaded: {wrong}") from wrong
        self._model.to(choose_device()).eval()

    def prepare(self, content: Picture) -> Prepared | Abstention:
        """Check the gates, look for copies and take the local statistics."""
        gates = self._folder.gates
        height, width = content.pixels.shape[:2]
        if min(height, width) < gates["least_side_pixels"]:
            least = int(gates["least_side_pixels"])
            reason = f"The picture is {width} x {height} pixels; {least} a side are needed."
            return self._abstain("too_small", reason)
        pixels = working_size(content.pixels)
        if contrast(pixels) < gates["least_contrast"]:
            return self._abstain("blank", "The picture is of one even colour.")
        if (flat := flat_share(pixels)) > gates["most_flat_share"]:
            reason = (
                f"{flat:.0%} of the picture is flat colour, as in drawings and screenshots; "
                f"at most {gates['most_flat_share']:.0%} can be judged."
            )
            return self._abstain("graphic", reason)
        found = find_duplicate(grey_of(pixels))
        look = Look(self._cells(pixels), traits_of(found))
        return Prepared(
            (Window(look, look.cells[0].size, 0.0, 0.0),), {"copied": _described(found)}
        )

    def forward(self, windows: Sequence[Window]) -> Floats:
        """Return the log odds of a manipulated picture for each window, shape (n,)."""
        return np.array([self._log_odds(window.features) for window in windows], np.float32)

    def interpret(self, prepared: Prepared, logits: Floats) -> Judgement:
        """Score the picture."""
        raw = float(logits[0])
        return Score(
            detector=self.name,
            version=self.version,
            label=self.label,
            probability=self._folder.calibration.probability(raw),
            raw=raw,
            threshold=self._folder.threshold,
            reliability=reliability_of(self._folder),
            notes=dict(prepared.notes),
        )

    def explain(self, content: Picture, score: Score) -> MapEvidence:
        """Return where it was altered, on GRID x GRID cells over the whole picture.

        The map shows two areas alike, and nothing where there are none: the map of foreign parts
        finds splices no better than chance, so that it is shown to nobody. Details hold
        `copied_from` and `copied_to`, which share of each cell lies in the one or the other area.
        """
        found = find_duplicate(grey_of(working_size(content.pixels)))
        unit = "share of the place that has a twin"
        details: dict[str, Any] = {"copied": _described(found)}
        if found is None:
            return MapEvidence(np.zeros((GRID, GRID), np.float32), unit, details)
        source, target = on_grid(found.area), on_grid(found.twin)
        details |= {"copied_from": source.tolist(), "copied_to": target.tolist()}
        return MapEvidence(np.maximum(source, target), unit, details)

    def warm_up(self) -> None:
        """Run one picture of the largest size."""
        cells = np.zeros((CHANNELS, MOST_SIDE // CELL, MOST_SIDE // CELL), np.float32)
        look = Look(cells, np.zeros(TRAITS, np.float32))
        self.forward([Window(look, cells[0].size, 0.0, 0.0)])

    def _cells(self, pixels: Pixels) -> Floats:
        by_cell = np.moveaxis(cell_statistics(pixels), 0, -1)
        return np.ascontiguousarray(np.moveaxis(self._statistics.standardised(by_cell), -1, 0))

    def _log_odds(self, look: Look) -> float:
        return self._head.log_odds(summary_of(foreign_map(self._model, look.cells)), look.traits)

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _described(found: Duplicate | None) -> dict[str, Any] | None:
    """Return a copy as JSON; boxes are left, top, right, bottom in shares of the sides."""
    if found is None:
        return None
    return {
        "matches": found.matches,
        "likeness": round(found.likeness, 3),
        "area_share": round(float(found.area.mean()), 4),
        "from": _box(found.area),
        "to": _box(found.twin),
        "turned_degrees": round(found.turned_degrees, 1),
        "scaled": round(found.scaled, 2),
    }


def _box(mask: npt.NDArray[np.bool_]) -> list[float]:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    edges = (
        columns[0] / width,
        rows[0] / height,
        (columns[-1] + 1) / width,
        (rows[-1] + 1) / height,
    )
    return [round(float(edge), 4) for edge in edges]


def on_grid(values: npt.NDArray[Any]) -> Floats:
    """Return a map of any size as GRID x GRID means."""
    resized = cv2.resize(values.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)
