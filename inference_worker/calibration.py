"""Turning a model's logit into a probability that means what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt scaling: p = sigmoid(slope * logit + offset), fitted on sources the model never saw.

    Source: Platt 1999, "Probabilistic outputs for support vector machines". With offset 0 it is
    temperature scaling (Guo et al. 2017).
    """

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, logit: float) -> float:
        """Return the calibrated probability, 0..1, for one logit."""
        z = self.slope * logit + self.offset
        if z >= 0:
            return 1.0 / (1.0 + math.exp(-z))
        return math.exp(z) / (1.0 + math.exp(z))
