"""Turning a model's logit into a probability that means what it says."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

MOST_KNOTS = 100
"""Of a piecewise-linear calibration; more would be a memory of the data it was fitted on."""


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt scaling: p = sigmoid(slope * logit + offset), fitted on sources the model never saw.

    Source: Platt 1999, "Probabilistic outputs for support vector machines". With offset 0 it is
    temperature scaling (Guo et al. 2017).
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError when a higher logit would mean a lower probability."""
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            raise ValueError("calibration: slope must be above 0, and offset a number")

    def probability(self, logit: float) -> float:
        """Return the calibrated probability, 0..1, for one logit."""
        z = self.slope * logit + self.offset
        if z >= 0:
            return 1.0 / (1.0 + math.exp(-z))
        return math.exp(z) / (1.0 + math.exp(z))

    def __str__(self) -> str:
        return f"sigmoid({self.slope:.3f} x log odds {self.offset:+.3f})"


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """Straight lines through rising knots, flat beyond the outermost: isotonic regression, kept.

    Source: Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass
    probability estimates". Both coordinates rise strictly, so that the calibration keeps the order
    of any two logits between the outermost knots.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError when the knots do not rise or leave 0..1."""
        if len(self.logits) != len(self.probabilities):
            raise ValueError("calibration: every knot needs a logit and a probability")
        if not 2 <= len(self.logits) <= MOST_KNOTS:
            raise ValueError(
                f"calibration: 2 to {MOST_KNOTS} knots are allowed, not {len(self.logits)}"
            )
        if not _rises(self.logits):
            raise ValueError("calibration: the logits of the knots must rise")
        if not _rises(self.probabilities):
            raise ValueError("calibration: the probabilities of the knots must rise")
        if self.probabilities[0] < 0 or self.probabilities[-1] > 1:
            raise ValueError("calibration: the probabilities of the knots must be within 0..1")

    def probability(self, logit: float) -> float:
        """Return the calibrated probability, 0..1, for one logit."""
        if logit <= self.logits[0]:
            return self.probabilities[0]
        if logit >= self.logits[-1]:
            return self.probabilities[-1]
        above = bisect_right(self.logits, logit)
        left, right = self.logits[above - 1], self.logits[above]
        low, high = self.probabilities[above - 1], self.probabilities[above]
        return low + (high - low) * (logit - left) / (right - left)

    def __str__(self) -> str:
        first, last = self.probabilities[0], self.probabilities[-1]
        return f"isotonic, {len(self.logits)} knots from {first:.3f} to {last:.3f}"


Calibration = Platt | PiecewiseLinear


def read(stated: Mapping[str, Any]) -> Calibration:
    """Return the calibration that kilinda.json states, of either form.

    Raises KeyError, TypeError or ValueError, naming what is missing or wrong.
    """
    if "knots" not in stated:
        return Platt(float(stated["slope"]), float(stated["offset"]))
    if {"slope", "offset"} & set(stated):
        raise ValueError("calibration: give slope and offset, or knots, not both")
    knots = [(float(logit), float(probability)) for logit, probability in stated["knots"]]
    return PiecewiseLinear(tuple(x for x, _ in knots), tuple(p for _, p in knots))


def stated_of(calibration: Calibration) -> dict[str, Any]:
    """Return what kilinda.json says of a calibration: the opposite of `read`."""
    if isinstance(calibration, Platt):
        return {"slope": calibration.slope, "offset": calibration.offset}
    pairs = zip(calibration.logits, calibration.probabilities, strict=True)
    return {"knots": [list(knot) for knot in pairs]}


def _rises(values: Sequence[float]) -> bool:
    return all(map(math.isfinite, values)) and all(a < b for a, b in pairwise(values))
