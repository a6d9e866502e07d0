"""Where and in which number format a model runs: measured at start, not assumed."""

from __future__ import annotations

import copy
import logging
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from inference_worker.cores import usable_cores
from inference_worker.errors import ModelUnusable

log = logging.getLogger(__name__)

MOST_DISAGREEMENT = 0.05
"""Mean change of the logits a faster format may cause, as a share of their spread."""
MOST_SECONDS_A_PASS = 30.0
"""Of a full batch on this machine, far below what counts as hung; slow models get smaller ones."""
MOST_TIMED_RUNS = 5
MOST_TIMED_SECONDS = 2.0
"""After which a format is not timed again: a large model must not take minutes to start."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One number format on this machine."""

    dtype: torch.dtype
    seconds: float
    """Median time of one forward pass over the sample batch."""
    disagreement: float
    """Mean difference to float32 logits, as a share of their standard deviation over the items;
    infinite when the format cannot be used."""

    @property
    def agrees(self) -> bool:
        """Whether the format's logits may stand in for float32's."""
        return self.disagreement <= MOST_DISAGREEMENT


@dataclass(frozen=True, slots=True)
class Precision:
    """The format chosen, and the trials it was chosen from."""

    dtype: torch.dtype
    seconds: float
    """Median time of one forward pass over the sample batch, in that format."""
    trials: tuple[Trial, ...]


def choose_device() -> torch.device:
    """Return CUDA when there is one, else the CPU with a thread for each core we may use."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())
    return torch.device("cpu")


def choose_precision(model: torch.nn.Module, sample_batch: Mapping[str, torch.Tensor]) -> Precision:
    """Try float32 and bfloat16 on `sample_batch`; leave `model` in the fastest that agrees.

    `model` returns an object with `.logits`; `sample_batch` holds its keyword arguments, on its
    device, several different items so that their logits have a spread.
    Raises ModelUnusable when the logits are not finite.
    """
    whole = _logits(model.to(torch.float32), sample_batch)
    if not torch.isfinite(whole).all():
        raise ModelUnusable("The model's outputs are not finite numbers.")
    reference = Trial(torch.float32, _median_seconds(model, sample_batch), 0.0)
    trials = (reference, _tried(torch.bfloat16, model, sample_batch, whole))
    chosen = min((trial for trial in trials if trial.agrees), key=lambda trial: trial.seconds)
    model.to(chosen.dtype)
    return Precision(chosen.dtype, chosen.seconds, trials)


def _tried(
    dtype: torch.dtype,
    model: torch.nn.Module,
    batch: Mapping[str, torch.Tensor],
    whole: torch.Tensor,
) -> Trial:
    """Time a copy of `model` in `dtype`: casting the model itself would round it for good."""
    copied = copy.deepcopy(model).to(dtype)
    try:
        found = _logits(copied, batch)
    except RuntimeError as refused:  # an operation that this machine has in float32 only
        log.info("%s cannot be used: %s", dtype, refused)
        return Trial(dtype, math.inf, math.inf)
    error = float((found - whole).abs().mean()) / (_spread(whole) or 1.0)
    return Trial(dtype, _median_seconds(copied, batch), error)


def _spread(logits: torch.Tensor) -> float:
    """Return how far the items' logits lie apart; that classes differ on the whole is no spread."""
    return float((logits - logits.mean(dim=0)).std())


def bearable_batch(seconds_a_row: float, most: int) -> int:
    """Return how many rows may go through one pass on this machine, 1 to `most`."""
    return max(1, min(most, int(MOST_SECONDS_A_PASS / max(seconds_a_row, 1e-9))))


def as_floats(batch: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the batch with its floating point tensors in `dtype`; ids and masks stay."""
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in batch.items()
    }


@torch.inference_mode()
def _logits(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    found: torch.Tensor = model(**as_floats(batch, model.dtype)).logits
    return found.float().cpu()


def _median_seconds(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> float:
    taken: list[float] = []
    while len(taken) < MOST_TIMED_RUNS and sum(taken) < MOST_TIMED_SECONDS:
        began = time.perf_counter()
        _logits(model, batch)
        taken.append(time.perf_counter() - began)
    return median(taken)
