"""Judges whether a picture is AI-generated: gates, crops at native resolution, one score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from inference_worker.detectors.network import Features, Network, Statistics
from inference_worker.detectors.texture import CROP, STATISTICS, Pixels, texture_statistics
from inference_worker.registry import ModelFolder
from inference_worker.reliability import GROUPS, reliability_of
from inference_worker.types import Abstention, Judgement, Picture, Prepared, Score, Window

FRONT_END = "texture_statistics"
PLACES = ((0.5, 0.5), (0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8))
"""Where crops are taken in a big picture, as shares of the room left beside a crop."""
WIDE = 1.5
"""A picture with both sides this many times CROP is looked at in all PLACES, others in one."""
CELLS = 8
"""Of the heatmap, along each side."""


def model_input(standardised: Features) -> Features:
    """Return statistics of shape (n, STATISTICS) as one-pixel images, (n, STATISTICS, 1, 1)."""
    return standardised[:, :, None, None]


class ImageDetector:
    """Scores a Picture with an image classification model."""

    batch_size = 16

    def __init__(self, folder: ModelFolder) -> None:
        """Load the model. Raises ModelUnusable when its files do not fit together."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        self._statistics = Statistics.load(folder, FRONT_END, STATISTICS)
        self._processor: Any = None
        if self._statistics is None:
            self._processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder.path, local_files_only=True, trust_remote_code=False
            )
        self._network = Network(AutoModelForImageClassification, folder)
        self._network.settle(self._inputs(self._sample_windows()))

    def prepare(self, content: Picture) -> Prepared | Abstention:
        """Check size and content, and cut crops at native resolution, where the traces are."""
        least = int(self._folder.gates["least_side_pixels"])
        height, width = content.pixels.shape[:2]
        if min(height, width) < least:
            reason = f"The picture is {width} x {height} pixels; {least} a side are needed."
            return self._abstain("too_small", reason)
        crops = [crop for crop in _crops(content.pixels) if self._has_texture(crop)]
        if not crops:
            return self._abstain(
                "blank", "The picture is of one even colour where it was looked at."
            )
        notes = {"crops": len(crops), "crop_pixels": CROP}
        return Prepared(tuple(self._window(crop) for crop in crops), notes)

    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Return the log odds of an AI-generated picture for each crop, shape (n,)."""
        return self._network.log_odds(self._inputs(windows))

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Score the picture as the mean of its crops."""
        raw = float(logits.mean())
        return Score(
            detector=self.name,
            version=self.version,
            label=self.label,
            probability=self._folder.calibration.probability(raw),
            raw=raw,
            threshold=self._folder.threshold,
            reliability=reliability_of(self._folder, prepared.notes.get(GROUPS, ())),
            notes=dict(prepared.notes),
        )

    def explain(self, content: Picture, score: Score) -> list[list[float]]:
        """Return a heatmap of the centre crop, CELLS x CELLS, rows from the top.

        Each cell is how far the log odds fall when it is replaced by the crop's mean colour; a
        negative value means that the cell speaks against a generated picture.
        """
        crop = _crops(content.pixels)[0]
        side = CROP // CELLS
        whole = self._log_odds_of([crop])[0]
        hidden = [_without(crop, row, column, side) for row, column in np.ndindex(CELLS, CELLS)]
        falls = whole - self._log_odds_of(hidden)
        rows: list[list[float]] = falls.reshape(CELLS, CELLS).astype(float).tolist()
        return rows

    def warm_up(self) -> None:
        """Run one full batch."""
        self.forward(self._sample_windows())

    def _has_texture(self, crop: Pixels) -> bool:
        return float(crop.std(axis=(0, 1)).max()) >= float(self._folder.gates["least_contrast"])

    def _window(self, crop: Pixels) -> Window:
        return Window(self._features(crop), STATISTICS, 0.0, 0.0)

    def _features(self, crop: Pixels) -> Features:
        if self._statistics is not None:
            return self._statistics.standardised(texture_statistics(crop))
        found = self._processor(Image.fromarray(crop), return_tensors="np")
        return np.asarray(found["pixel_values"][0], np.float32)

    def _inputs(self, windows: Sequence[Window]) -> Features:
        stacked = np.stack([window.features for window in windows])
        return model_input(stacked) if self._statistics is not None else stacked

    def _log_odds_of(self, crops: Sequence[Pixels]) -> Features:
        windows = [self._window(crop) for crop in crops]
        starts = range(0, len(windows), self.batch_size)
        return np.concatenate([self.forward(windows[at : at + self.batch_size]) for at in starts])

    def _sample_windows(self) -> list[Window]:
        """Return a batch of clouds, each of another softness."""
        rng = np.random.default_rng(0)
        grains = [rng.integers(0, 256, (8 + 8 * n, 8 + 8 * n, 3), np.uint8) for n in range(16)]
        clouds = [Image.fromarray(grain).resize((CROP, CROP)) for grain in grains]
        return [self._window(np.asarray(cloud, np.uint8)) for cloud in clouds]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _crops(pixels: Pixels) -> list[Pixels]:
    """Return one to five crops of shape (CROP, CROP, 3), the centre first.

    A side shorter than CROP is filled up with its mirror image: scaling would invent texture.
    """
    height, width = pixels.shape[:2]
    places = PLACES if min(height, width) >= WIDE * CROP else PLACES[:1]
    return [_crop(pixels, *place) for place in places]


def _crop(pixels: Pixels, down: float, across: float) -> Pixels:
    top = int(max(pixels.shape[0] - CROP, 0) * down)
    left = int(max(pixels.shape[1] - CROP, 0) * across)
    cut = pixels[top : top + CROP, left : left + CROP]
    missing = [(0, CROP - cut.shape[0]), (0, CROP - cut.shape[1]), (0, 0)]
    return np.pad(cut, missing, mode="symmetric")


def _without(crop: Pixels, row: int, column: int, side: int) -> Pixels:
    hidden = crop.copy()
    mean = crop.mean(axis=(0, 1)).astype(np.uint8)
    hidden[row * side : (row + 1) * side, column * side : (column + 1) * side] = mean
    return hidden
