"""Judges whether a picture is AI-generated: gates, crops or the whole picture, one score."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from transformers import AutoModelForImageClassification

from inference_worker.detectors.fine_texture import (
    CROP,
    FRONT_END,
    STATISTICS,
    Pixels,
    texture_statistics,
)
from inference_worker.detectors.network import Features, Inputs, Network, Statistics
from inference_worker.detectors.picture_gates import contrast, flat_share
from inference_worker.detectors.standard import PictureProcessor, cost
from inference_worker.registry import ModelFolder
from inference_worker.reliability import GROUPS, reliability_of
from inference_worker.types import Abstention, Judgement, Picture, Prepared, Score, Window

PLACES = ((0.5, 0.5), (0.2, 0.8), (0.8, 0.2))
"""Where crops are taken in a big picture, as shares of the room left beside a crop."""
WIDE = 1.5
"""A picture with both sides this many times a crop's is looked at in all PLACES, others in one."""
MOST_SIDE = 640
"""Of the shorter side, in pixels: texture_statistics were measured on pictures up to about this."""
SMALL = "condition:small"
"""Named in the notes of a picture with a side shorter than a crop."""
SAMPLE_SHAPES = ((1.0, 1.0), (0.75, 1.0), (1.0, 0.6))
"""Height and width of the pictures a model is tried on, as shares of twice CROP."""


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
        self._processor = None if self._statistics else PictureProcessor(folder)
        self._crop_side = self._processor.crop_side if self._processor else CROP
        """In pixels; None when the model looks at whole pictures."""
        self._network = Network(AutoModelForImageClassification, folder)
        self.batch_size = self._network.settle(self._inputs(self._sample_windows()))

    def prepare(self, content: Picture) -> Prepared | Abstention:
        """Check size and content, and cut crops, where the traces are.

        A model whose processor scales pictures gets the picture as a whole instead.
        """
        moderate = scaled_down(content.pixels)
        if refused := self._refusal(content.pixels, moderate):
            return refused
        pixels = moderate if self._statistics else content.pixels
        crops = [crop for crop in self._crops(pixels) if self._has_texture(crop)]
        if not crops:
            return self._abstain(
                "blank", "The picture is of one even colour where it was looked at."
            )
        notes = {"crops": len(crops), "crop_pixels": self._crop_side, GROUPS: self._groups(pixels)}
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

    def warm_up(self) -> None:
        """Run one full batch."""
        self.forward(self._sample_windows())

    def _refusal(self, pixels: Pixels, moderate: Pixels) -> Abstention | None:
        """Check the gates of the whole picture; `moderate` is the same, scaled down."""
        gates = self._folder.gates
        least, most_flat = int(gates["least_side_pixels"]), float(gates.get("most_flat_share", 1))
        height, width = pixels.shape[:2]
        if min(height, width) < least:
            reason = f"The picture is {width} x {height} pixels; {least} a side are needed."
            return self._abstain("too_small", reason)
        flat = flat_share(moderate)
        if flat > most_flat and contrast(moderate) >= gates["least_contrast"]:
            reason = (
                f"{flat:.0%} of the picture is flat colour, as in drawings and screenshots; "
                f"at most {most_flat:.0%} can be judged."
            )
            return self._abstain("graphic", reason)
        return None

    def _groups(self, pixels: Pixels) -> list[str]:
        """Return the conditions the picture was met under, as far as it shows them."""
        return [SMALL] if self._statistics and min(pixels.shape[:2]) < CROP else []

    def _has_texture(self, crop: Pixels) -> bool:
        return float(crop.std(axis=(0, 1)).max()) >= float(self._folder.gates["least_contrast"])

    def _crops(self, pixels: Pixels) -> list[Pixels]:
        return [pixels] if self._crop_side is None else crops_of(pixels, self._crop_side)

    def _window(self, crop: Pixels) -> Window:
        if self._processor:
            inputs = self._processor.inputs(crop)
            return Window(inputs, cost(inputs), 0.0, 0.0)
        assert self._statistics, "a folder has a processor or statistics"
        return Window(self._statistics.standardised(texture_statistics(crop)), STATISTICS, 0.0, 0.0)

    def _inputs(self, windows: Sequence[Window]) -> Features | Sequence[Inputs]:
        features = [window.features for window in windows]
        return features if self._processor else model_input(np.stack(features))

    def _sample_windows(self) -> list[Window]:
        """Return a batch of clouds, each of another softness, of different shapes if it may be."""
        rng = np.random.default_rng(0)
        clouds = []
        for n in range(self.batch_size):
            grain = rng.integers(0, 256, (8 + 8 * n, 8 + 8 * n, 3), np.uint8)
            down, across = SAMPLE_SHAPES[n % len(SAMPLE_SHAPES)]
            size = (int(2 * CROP * across), int(2 * CROP * down))
            clouds.append(np.asarray(Image.fromarray(grain).resize(size), np.uint8))
        return [self._window(self._crops(cloud)[0]) for cloud in clouds]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def scaled_down(pixels: Pixels) -> Pixels:
    """Return the picture with its shorter side at most MOST_SIDE."""
    height, width = pixels.shape[:2]
    scale = MOST_SIDE / max(min(height, width), 1)
    if scale >= 1:
        return pixels
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def crops_of(pixels: Pixels, side: int) -> list[Pixels]:
    """Return one to three crops of shape (side, side, 3), the centre first.

    A picture side shorter than that is filled up with its mirror image: scaling would invent
    texture.
    """
    height, width = pixels.shape[:2]
    places = PLACES if min(height, width) >= WIDE * side else PLACES[:1]
    return [_crop(pixels, side, *place) for place in places]


def _crop(pixels: Pixels, side: int, down: float, across: float) -> Pixels:
    top = int(max(pixels.shape[0] - side, 0) * down)
    left = int(max(pixels.shape[1] - side, 0) * across)
    cut = pixels[top : top + side, left : left + side]
    missing = [(0, side - cut.shape[0]), (0, side - cut.shape[1]), (0, 0)]
    return np.pad(cut, missing, mode="symmetric")
