"""Metrics of a ranking: pure functions of one Tally, so that a bootstrap resample is cheap.

A Tally counts, for each distinct probability, how many positive and how many negative items got it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Metric = Callable[["Tally"], float | None]

CALIBRATION_BINS = 15
"""Equal-width bins of the expected calibration error (Guo et al. 2017)."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts per distinct probability: three float64 arrays of shape (k,), values ascending."""

    values: Floats
    positives: Floats
    negatives: Floats

    @classmethod
    def of(cls, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Tally:
        """Count `labels` (0 or 1) by their probability."""
        values, cell = np.unique(np.asarray(probabilities, np.float64), return_inverse=True)
        is_positive = np.asarray(labels, np.float64)
        positives = np.bincount(cell, weights=is_positive, minlength=len(values))
        negatives = np.bincount(cell, weights=1 - is_positive, minlength=len(values))
        return cls(values, positives.astype(np.float64), negatives.astype(np.float64))

    @property
    def total(self) -> float:
        """Number of items."""
        return float(self.positives.sum() + self.negatives.sum())

    @property
    def has_both_classes(self) -> bool:
        """Whether a ranking means anything here."""
        return bool(self.positives.sum() > 0 and self.negatives.sum() > 0)

    def resampled(self, rng: np.random.Generator) -> Tally:
        """Draw as many items again, with replacement."""
        counts = np.concatenate([self.positives, self.negatives])
        drawn = rng.multinomial(int(self.total), counts / counts.sum()).astype(np.float64)
        return Tally(self.values, drawn[: len(self.values)], drawn[len(self.values) :])


def auc(tally: Tally) -> float | None:
    """Chance that a positive item outranks a negative one; ties count half."""
    if not tally.has_both_classes:
        return None
    below = np.cumsum(tally.negatives) - tally.negatives
    wins = tally.positives @ (below + tally.negatives / 2)
    return float(wins / (tally.positives.sum() * tally.negatives.sum()))


def eer(tally: Tally) -> float | None:
    """Error rate where misses and false alarms are equally frequent."""
    if not tally.has_both_classes:
        return None
    misses = np.concatenate([[0.0], np.cumsum(tally.positives)]) / tally.positives.sum()
    alarms = 1 - np.concatenate([[0.0], np.cumsum(tally.negatives)]) / tally.negatives.sum()
    crossing = int(np.argmax(misses >= alarms))
    before = max(crossing - 1, 0)
    rise = (misses[crossing] - alarms[crossing]) - (misses[before] - alarms[before])
    share = -(misses[before] - alarms[before]) / rise if rise else 0.0
    return float(misses[before] + share * (misses[crossing] - misses[before]))


def macro_f1(tally: Tally, threshold: float = 0.5) -> float | None:
    """Mean of the F1 of both classes when everything from `threshold` up is called positive."""
    if not tally.has_both_classes:
        return None
    hit, alarm, miss, rest = _confusion(tally, threshold)
    of_positive = 2 * hit / (2 * hit + alarm + miss)
    of_negative = 2 * rest / (2 * rest + alarm + miss)
    return float((of_positive + of_negative) / 2)


def accuracy(tally: Tally, threshold: float = 0.5) -> float | None:
    """Share of items on the right side of `threshold`."""
    if not tally.total:
        return None
    hit, _, _, rest = _confusion(tally, threshold)
    return float((hit + rest) / tally.total)


def ece(tally: Tally) -> float | None:
    """Expected calibration error: mean gap between claimed probability and share of positives."""
    if not tally.total:
        return None
    bins = np.minimum((tally.values * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    count = tally.positives + tally.negatives
    claimed = np.bincount(bins, weights=tally.values * count, minlength=CALIBRATION_BINS)
    true = np.bincount(bins, weights=tally.positives, minlength=CALIBRATION_BINS)
    return float(np.abs(claimed - true).sum() / tally.total)


def precision(tally: Tally, threshold: float) -> float | None:
    """Share of the items from `threshold` up that are positive: how many alarms are right."""
    hit, alarm, _, _ = _confusion(tally, threshold)
    return float(hit / (hit + alarm)) if hit + alarm else None


def even_precision(tally: Tally, threshold: float) -> float | None:
    """Precision if both classes were equally frequent, whatever their share here."""
    hit, alarm, miss, rest = _confusion(tally, threshold)
    if not tally.has_both_classes or not hit + alarm:
        return None
    hits, alarms = hit / (hit + miss), alarm / (alarm + rest)
    return float(hits / (hits + alarms))


def recall(tally: Tally, threshold: float) -> float | None:
    """Share of the positive items that lie at `threshold` or above."""
    hit, _, miss, _ = _confusion(tally, threshold)
    return float(hit / (hit + miss)) if hit + miss else None


def middle(draws: Sequence[float | None]) -> list[float] | None:
    """Return the middle 95 % of the draws, or None when the metric was never defined."""
    known = [draw for draw in draws if draw is not None]
    return [float(q) for q in np.quantile(known, [0.025, 0.975])] if known else None


def _confusion(tally: Tally, threshold: float) -> tuple[float, float, float, float]:
    """Return hits, false alarms, misses and correct rejections."""
    called = tally.values >= threshold
    hit, alarm = tally.positives[called].sum(), tally.negatives[called].sum()
    return hit, alarm, tally.positives.sum() - hit, tally.negatives.sum() - alarm
