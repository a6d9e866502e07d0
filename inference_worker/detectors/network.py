"""The neural part of the speech and image detectors: loaded by an Auto class, gives log odds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inference_worker.detectors.device import (
    as_floats,
    bearable_batch,
    choose_device,
    choose_precision,
)
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder

PREPROCESSOR = "preprocessor_config.json"
FARTHEST = 5.0
"""Standard deviations beyond which a statistic says no more; bounds what one outlier can do."""

Features = npt.NDArray[np.float32]
Inputs = Mapping[str, npt.NDArray[Any]]
"""What a standard model takes of one window, by argument; arrays without the axis of the batch."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Standardises the statistics a bundled model looks at; kept in PREPROCESSOR."""

    front_end: str
    """Name of the function that computes them."""
    mean: Features
    std: Features

    def standardised(self, values: Features) -> Features:
        """Return `values` of shape (..., statistics) in standard deviations, at most FARTHEST."""
        scaled = (values - self.mean) / self.std
        return np.asarray(np.clip(scaled, -FARTHEST, FARTHEST), np.float32)

    def save(self, folder: Path) -> None:
        """Write PREPROCESSOR."""
        stated = {
            "front_end": self.front_end,
            "mean": [round(float(value), 6) for value in self.mean],
            "std": [round(float(value), 6) for value in self.std],
        }
        (folder / PREPROCESSOR).write_text(json.dumps(stated) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: ModelFolder, front_end: str, count: int) -> Statistics | None:
        """Read PREPROCESSOR; None when it is some standard extractor's and not this front end's.

        Raises ModelUnusable when it is ours and does not hold `count` means and deviations.
        """
        if not (folder.path / PREPROCESSOR).exists():
            return None
        try:
            stated = json.loads((folder.path / PREPROCESSOR).read_text(encoding="utf-8"))
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder}/{PREPROCESSOR} cannot be read: {wrong}") from wrong
        if stated.get("front_end") != front_end:
            return None
        mean, std = (np.asarray(stated.get(key, ()), np.float32) for key in ("mean", "std"))
        if mean.shape != (count,) or std.shape != (count,) or not (std > 0).all():
            raise ModelUnusable(f"{folder}/{PREPROCESSOR} must hold {count} means and deviations.")
        return cls(front_end, mean, std)


def claiming_places(folder: ModelFolder) -> tuple[list[int], list[int]]:
    """Return which outputs of the model claim the folder's task, and which speak against it.

    Raises ModelUnusable when the labels do not name both.
    """
    claims = [place for place, name in enumerate(folder.labels) if name in folder.positive]
    others = [place for place in range(len(folder.labels)) if place not in claims]
    if len(claims) != len(folder.positive) or not claims or not others:
        named = " and ".join(map(repr, folder.positive))
        raise ModelUnusable(f"{folder}: labels must name {named} and the opposite.")
    return claims, others


class Network:
    """A classifier on its device, in the number format that was fastest and exact enough."""

    def __init__(self, auto_class: Any, folder: ModelFolder) -> None:
        """Load from the folder alone. Raises ModelUnusable when its files do not fit together."""
        self._folder = folder
        self._positive, self._others = claiming_places(folder)
        try:
            self._model = auto_class.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder} cannot be loaded: {wrong}") from wrong
        self._device = choose_device()
        self._model.to(self._device).eval()

    def settle(self, samples: Features | Sequence[Inputs]) -> int:
        """Choose the number format on `samples`, a batch of different inputs.

        Return how many such inputs may go through one pass, which is fewer for a slow model.
        Raises ModelUnusable when model and preprocessor do not fit together.
        """
        batches = [self._batch(arrays) for _, arrays in _alike(samples)]
        largest = max(batches, key=_rows)
        try:
            self.precision = choose_precision(self._model, largest)
            self.log_odds(samples)
        except (ValueError, RuntimeError) as wrong:
            raise ModelUnusable(
                f"{self._folder} does not take what its preprocessor makes: {wrong}"
            ) from wrong
        return bearable_batch(self.precision.seconds / _rows(largest), len(samples))

    @torch.inference_mode()
    def log_odds(self, inputs: Features | Sequence[Inputs]) -> Features:
        """Return the log odds of the folder's task for each input, shape (n,).

        Inputs of different shapes go through the model one shape after the other.
        """
        found = np.empty(len(inputs), np.float32)
        for places, arrays in _alike(inputs):
            found[places] = self._log_odds(self._batch(arrays))
        return found

    def _log_odds(self, batch: Mapping[str, torch.Tensor]) -> Features:
        scores = self._model(**as_floats(batch, self._model.dtype)).logits.float()
        claimed = torch.logsumexp(scores[:, self._positive], dim=1)
        odds = claimed - torch.logsumexp(scores[:, self._others], dim=1)
        return np.asarray(odds.cpu().numpy(), np.float32)

    def _batch(self, arrays: Features | Inputs) -> dict[str, torch.Tensor]:
        named = arrays if isinstance(arrays, Mapping) else {self._model.main_input_name: arrays}
        return {name: torch.from_numpy(array).to(self._device) for name, array in named.items()}


def _alike(inputs: Features | Sequence[Inputs]) -> Iterator[tuple[list[int], Features | Inputs]]:
    """Yield stacked inputs of one shape each, with their places in `inputs`."""
    if isinstance(inputs, np.ndarray):
        yield list(range(len(inputs))), inputs
        return
    shapes: dict[tuple[Any, ...], list[int]] = {}
    for place, each in enumerate(inputs):
        shape = tuple((name, array.shape) for name, array in sorted(each.items()))
        shapes.setdefault(shape, []).append(place)
    for places in shapes.values():
        names = inputs[places[0]]
        yield places, {name: np.stack([inputs[at][name] for at in places]) for name in names}


def _rows(batch: Mapping[str, torch.Tensor]) -> int:
    return len(next(iter(batch.values())))
