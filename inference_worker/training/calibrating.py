"""Chooses how log odds become probabilities, by what holds on sources the fit never saw.

Three forms are tried, from the stiffest to the most supple: temperature scaling, Platt scaling and
isotonic regression. Each is fitted without one source and judged on that source, in turn. The
stiffest form that is not clearly worse than the best one is fitted to all sources and returned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from inference_worker.calibration import Calibration, PiecewiseLinear, Platt
from inference_worker.figures import CALIBRATION_BINS

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Fit = Callable[[Floats, Labels, Floats], Calibration]

FEWEST_SOURCES = 3
"""With fewer, leaving one out says nothing about the next: Platt scaling is taken untested."""
MOST_BINS, LEAST_IN_BIN = 30, 20
"""Of isotonic regression: it is fitted to bins, so that no single item makes a step."""
END = 0.1
"""How far towards 0 and 1 the outermost logits are led beyond their bin, to keep their order."""
LEAST_SLOPE = 1e-3
"""Where the log odds rank backwards, the slope stays here: nearly the same answer for all."""
LEAST_PROBABILITY = 1e-6
"""In the log loss, so that one sure mistake is not infinite."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How one form did on the sources it was not fitted on."""

    log_loss: float
    """Nats an item, the sources counting alike."""
    ece: float
    """Expected calibration error over all left-out predictions, weighted."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A calibration fitted to all sources, and what spoke for its form."""

    form: str
    """temperature, platt or isotonic."""
    calibration: Calibration
    tried: Mapping[str, Tried]
    """By form; empty when there were too few sources to try."""

    def stated(self) -> dict[str, object]:
        """Return the form and the trials as JSON, for `training` in kilinda.json."""
        tried = {
            form: {"log_loss": round(each.log_loss, 4), "ece": round(each.ece, 4)}
            for form, each in self.tried.items()
        }
        return {"form": self.form, "left_out": tried}


def choose(
    log_odds: npt.ArrayLike,
    labels: npt.ArrayLike,
    sources: Sequence[str] | npt.NDArray[np.str_],
    weights: npt.ArrayLike | None = None,
) -> Chosen:
    """Return the calibration for a model whose left-out log odds these are; all of shape (n,).

    Without `weights` the classes count alike, and within a class its sources: the probability then
    holds for a stream in which both classes are equally frequent.
    Raises ValueError when one of the classes is missing.
    """
    x, y = np.asarray(log_odds, np.float64), np.asarray(labels, np.int64)
    names = np.asarray(sources, np.str_)
    if set(y.tolist()) != {0, 1}:
        raise ValueError("calibration needs items of both classes, labelled 0 and 1")
    w = even_weights(y, names) if weights is None else np.asarray(weights, np.float64)
    if not _may_leave_out(y, names):
        return Chosen("platt", fit_platt(x, y, w), {})
    predicted = {form: _left_out(fit, x, y, names, w) for form, fit in FORMS.items()}
    losses = {form: _loss_by_source(p, y, names, w) for form, p in predicted.items()}
    form = _stiffest_good(losses)
    tried = {
        each: Tried(float(losses[each].mean()), _ece(p, y, w)) for each, p in predicted.items()
    }
    return Chosen(form, FORMS[form](x, y, w), tried)


def even_weights(labels: Labels, sources: npt.NDArray[np.str_]) -> Floats:
    """Return weights that sum to 1: each class a half, and its sources alike."""
    cells = list(zip(labels.tolist(), sources.tolist(), strict=True))
    sizes = Counter(cells)
    sources_of = Counter(label for label, _ in sizes)
    return np.array([0.5 / sources_of[cell[0]] / sizes[cell] for cell in cells])


# --- The forms -----------------------------------------------------------------------------------


def fit_temperature(x: Floats, y: Labels, w: Floats) -> Platt:
    """Fit p = sigmoid(slope x) by maximum likelihood."""
    found = minimize(lambda s: _logistic_loss(s[0] * x, y, w), [1.0], bounds=[(LEAST_SLOPE, None)])
    return Platt(float(found.x[0]), 0.0)


def fit_platt(x: Floats, y: Labels, w: Floats) -> Platt:
    """Fit p = sigmoid(slope x + offset) by maximum likelihood."""
    found = minimize(
        lambda s: _logistic_loss(s[0] * x + s[1], y, w),
        [1.0, 0.0],
        bounds=[(LEAST_SLOPE, None), (None, None)],
    )
    return Platt(float(found.x[0]), float(found.x[1]))


def fit_isotonic(x: Floats, y: Labels, w: Floats) -> Calibration:
    """Fit a rising piecewise-linear curve to bins of as many items each.

    Falls back to Platt scaling where the bins do not rise at all.
    """
    bins = np.array_split(np.argsort(x, kind="stable"), _bin_count(len(x)))
    centre = np.array([np.average(x[each], weights=w[each]) for each in bins])
    weight = np.array([w[each].sum() for each in bins])
    share = np.array([_smoothed(y[each], w[each]) for each in bins])
    level = IsotonicRegression().fit_transform(centre, share, sample_weight=weight)
    knots = [
        (float(np.average(centre[level == p], weights=weight[level == p])), float(p))
        for p in np.unique(level)
    ]
    knots = _with_ends(knots, float(x.min()), float(x.max()))
    if len(knots) < 2:
        return fit_platt(x, y, w)
    return PiecewiseLinear(tuple(a for a, _ in knots), tuple(p for _, p in knots))


FORMS: Mapping[str, Fit] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}
"""From the stiffest to the most supple."""


def _bin_count(items: int) -> int:
    return max(min(MOST_BINS, items // LEAST_IN_BIN), 1)


def _smoothed(labels: Labels, weights: Floats) -> float:
    """Return the weighted share of positives, half an item of each class added."""
    n = len(labels)
    return float((np.average(labels, weights=weights) * n + 0.5) / (n + 1))


def _with_ends(
    knots: list[tuple[float, float]], lowest: float, highest: float
) -> list[tuple[float, float]]:
    (first, low), (last, high) = knots[0], knots[-1]
    before = [(lowest, low * (1 - END))] if lowest < first else []
    after = [(highest, high + END * (1 - high))] if highest > last else []
    return [*before, *knots, *after]


# --- Judging them --------------------------------------------------------------------------------


def _may_leave_out(y: Labels, names: npt.NDArray[np.str_]) -> bool:
    """Return whether there are enough sources, and both classes whichever is left out."""
    each = np.unique(names)
    return len(each) >= FEWEST_SOURCES and all(
        len(np.unique(y[names != name])) == 2 for name in each
    )


def _left_out(fit: Fit, x: Floats, y: Labels, names: npt.NDArray[np.str_], w: Floats) -> Floats:
    """Return the probability of each item by a calibration that never saw its source."""
    predicted = np.zeros(len(x))
    for name in np.unique(names):
        here = names == name
        calibration = fit(x[~here], y[~here], w[~here])
        predicted[here] = [calibration.probability(value) for value in x[here].tolist()]
    return predicted


def _loss_by_source(p: Floats, y: Labels, names: npt.NDArray[np.str_], w: Floats) -> Floats:
    """Return the weighted log loss of each source, shape (sources,)."""
    safe = np.clip(p, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    loss = -np.where(y == 1, np.log(safe), np.log1p(-safe))
    return np.array(
        [np.average(loss[names == name], weights=w[names == name]) for name in np.unique(names)]
    )


def _stiffest_good(losses: Mapping[str, Floats]) -> str:
    """Return the first form whose loss is within one standard error of the best form's.

    The standard error is that of the paired difference over the sources (Breiman et al. 1984).
    """
    best = min(losses, key=lambda form: float(losses[form].mean()))

    def is_close(form: str) -> bool:
        worse = losses[form] - losses[best]
        return bool(worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse)))

    return next(form for form in losses if is_close(form))


def _ece(p: Floats, y: Labels, w: Floats) -> float:
    """Return the weighted expected calibration error."""
    place = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=w * (p - y), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / w.sum())


def _logistic_loss(z: Floats, y: Labels, w: Floats) -> float:
    """Return the weighted negative log likelihood of labels under sigmoid(z)."""
    return float((w * (np.logaddexp(0.0, z) - y * z)).sum() / w.sum())
