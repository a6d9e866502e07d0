"""Inputs of standard models, as the preprocessor in their own folder makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor

from inference_worker.detectors.network import Inputs
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder
from inference_worker.types import SAMPLE_RATE

LONGEST_SECONDS = 30.0
"""Of a window, whatever an extractor pads to."""
KALDI_FRAMES_A_SECOND = 100
"""Of the extractors that count their length in frames of 10 ms (AST)."""


class SoundExtractor:
    """The feature extractor of a folder: waveforms (wav2vec2) or spectrograms (AST, Whisper)."""

    def __init__(self, folder: ModelFolder) -> None:
        """Load it. Raises ModelUnusable when it cannot be, or takes another sample rate."""
        try:
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]
                folder.path, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, ImportError) as wrong:
            raise ModelUnusable(f"{folder}: its feature extractor is unusable: {wrong}") from wrong
        if self._extractor.sampling_rate != SAMPLE_RATE:
            rate = self._extractor.sampling_rate
            raise ModelUnusable(f"{folder} takes {rate} samples a second; {SAMPLE_RATE} are made.")
        self._masks = bool(getattr(self._extractor, "return_attention_mask", False))

    @property
    def fixed_seconds(self) -> float | None:
        """The length every input is filled up to; None when inputs may have any length."""
        if chunk := getattr(self._extractor, "chunk_length", None):
            return min(float(chunk), LONGEST_SECONDS)
        if frames := getattr(self._extractor, "max_length", None):
            return min(float(frames) / KALDI_FRAMES_A_SECOND, LONGEST_SECONDS)
        return None

    def inputs(self, samples: npt.NDArray[np.float32]) -> Inputs:
        """Return what the model takes of one window, without the axis of the batch."""
        found = self._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")
        return {name: np.asarray(value[0]) for name, value in found.items()}

    def evened(self, inputs: Sequence[Inputs]) -> Sequence[Inputs]:
        """Fill inputs up to the longest where the model was trained to be told which part is real.

        Other models take windows of different lengths apart: filling up would change their scores.
        """
        if not self._masks or len({_length(each) for each in inputs}) == 1:
            return inputs
        longest = max(_length(each) for each in inputs)
        return [_filled(each, longest) for each in inputs]


def _length(inputs: Inputs) -> int:
    return max(len(value) for value in inputs.values())


def _filled(inputs: Inputs, length: int) -> Inputs:
    """Fill up with zeros, in the mask too."""
    missing = length - _length(inputs)
    return {
        name: np.pad(value, [(0, missing)] + [(0, 0)] * (value.ndim - 1))
        for name, value in inputs.items()
    }


class PictureProcessor:
    """The image processor of a folder, on PIL and numpy: torchvision is not needed."""

    def __init__(self, folder: ModelFolder) -> None:
        """Load it. Raises ModelUnusable when it cannot be, or has no PIL backend."""
        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder.path, local_files_only=True, trust_remote_code=False, backend="pil"
            )
        except (OSError, ValueError, ImportError) as wrong:
            raise ModelUnusable(f"{folder}: its image processor is unusable: {wrong}") from wrong
        self.backend = str(getattr(self._processor, "backend", "unknown"))
        if self.backend != "pil":
            raise ModelUnusable(f"{folder}: its image processor runs on {self.backend} only.")
        self.crop_side = None if self._processor.do_resize else self._stated_side(folder)
        """Side in pixels of the crops at native resolution that the model takes; None when its
        processor scales whole pictures."""

    def _stated_side(self, folder: ModelFolder) -> int:
        size = getattr(self._processor, "crop_size", None) or self._processor.size
        sides = {size.height, size.width} - {None} if size else set()
        if len(sides) != 1:
            raise ModelUnusable(f"{folder}: without do_resize it must state a square size.")
        return int(sides.pop())

    def inputs(self, pixels: npt.NDArray[np.uint8]) -> Inputs:
        """Return what the model takes of one RGB picture or crop, without the axis of the batch."""
        found = self._processor(Image.fromarray(pixels), return_tensors="np")
        return {name: np.asarray(value[0]) for name, value in found.items()}


def cost(inputs: Inputs) -> int:
    """Return the number of values of one window's largest input: windows alike are batched."""
    return max(int(value.size) for value in inputs.values())
