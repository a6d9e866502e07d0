"""The neural part of the speech and image detectors: loaded by an Auto class, gives log odds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inference_worker.detectors.device import as_floats, choose_device, choose_precision
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder

PREPROCESSOR = "preprocessor_config.json"
FARTHEST = 5.0
"""Standard deviations beyond which a statistic says no more; bounds what one outlier can do."""

Features = npt.NDArray[np.float32]


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


class Network:
    """A classifier on its device, in the number format that was fastest and exact enough."""

    def __init__(self, auto_class: Any, folder: ModelFolder) -> None:
        """Load from the folder alone. Raises ModelUnusable when its files do not fit together."""
        if folder.task not in folder.labels or len(folder.labels) < 2:
            raise ModelUnusable(f"{folder}: labels must name {folder.task!r} and its opposite.")
        self._positive = folder.labels.index(folder.task)
        try:
            self._model = auto_class.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as wrong:
            raise ModelUnusable(f"{folder} cannot be loaded: {wrong}") from wrong
        self._device = choose_device()
        self._model.to(self._device).eval()

    def settle(self, samples: Features) -> None:
        """Choose the number format on `samples`, a batch of different inputs."""
        self.precision = choose_precision(self._model, self._batch(samples))

    @torch.inference_mode()
    def log_odds(self, inputs: Features) -> Features:
        """Return the log odds of the folder's task for each input, shape (n,)."""
        batch = as_floats(self._batch(inputs), self._model.dtype)
        scores = self._model(**batch).logits.float()
        rest = torch.cat([scores[:, : self._positive], scores[:, self._positive + 1 :]], dim=1)
        odds = scores[:, self._positive] - torch.logsumexp(rest, dim=1)
        return np.asarray(odds.cpu().numpy(), np.float32)

    def _batch(self, inputs: Features) -> dict[str, torch.Tensor]:
        return {self._model.main_input_name: torch.from_numpy(inputs).to(self._device)}
