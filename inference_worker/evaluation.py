"""How good a model is: pure metrics over labels and calibrated probabilities, with 95 % intervals.

Every metric is a function of one Tally: for each distinct probability, how many positive and how
many negative items got it. A bootstrap resample is then one multinomial draw over its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Metric = Callable[["Tally"], float | None]

RESAMPLES = 300
"""Bootstrap draws for an interval; the 2.5 % tail then still holds seven of them."""
CALIBRATION_BINS = 15
"""Equal-width bins of the expected calibration error (Guo et al. 2017)."""


class Row(TypedDict):
    """The figures of one group of items; None where a metric is undefined (one class only)."""

    n: int
    """Items in the group, the abstained ones included."""
    abstained: int
    """Items the model declined to judge; they enter no other figure."""
    auc: float | None
    macro_auc: float | None
    """Mean AUC over the group's sources that have both classes."""
    eer: float | None
    macro_f1: float | None
    accuracy: float | None
    ece: float | None
    intervals: dict[str, list[float]]
    """Metric name to its 95 % bootstrap interval [low, high]."""


class Report(Row):
    """The figures of a whole manifest: what `evaluate --json` writes."""

    by_source: dict[str, Row]
    by_language: dict[str, Row]


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


def evaluate(
    labels: Sequence[int],
    probabilities: Sequence[float | None],
    sources: Sequence[str],
    languages: Sequence[str],
    abstained: Sequence[bool],
    *,
    threshold: float = 0.5,
    seed: int = 0,
) -> Report:
    """Return all figures over the items, and again by source and by language.

    The five sequences run in parallel; the probability of an abstained item is ignored.
    Raises ValueError when their lengths differ or a judged item has no probability in 0..1.
    """
    items = _Items.checked(labels, probabilities, sources, languages, abstained)
    judge = _Judge(threshold, np.random.default_rng(seed))
    return Report(
        **judge.row(items),
        by_source={name: judge.row(part) for name, part in items.split(items.sources)},
        by_language={name: judge.row(part) for name, part in items.split(items.languages)},
    )


COLUMNS = ("n", "abstained", "auc", "macro_auc", "eer", "macro_f1", "accuracy", "ece")


def table(report: Report) -> str:
    """Return the report as a plain text table: one line for all, each source, each language."""
    rows: list[tuple[str, Row]] = [("all", report)]
    rows += [(f"source {name}", row) for name, row in report["by_source"].items()]
    rows += [(f"language {name}", row) for name, row in report["by_language"].items()]
    width = max(len(name) for name, _ in rows)
    header = " " * width + "".join(f"{column:>11}" for column in COLUMNS) + "   95 % of auc"
    return "\n".join([header, *(_line(name.ljust(width), row) for name, row in rows)])


def _line(name: str, row: Row) -> str:
    cells = "".join(f"{_cell(figure):>11}" for figure in _figures(row))
    low_high = row["intervals"].get("auc")
    return name + cells + (f"   {low_high[0]:.3f}-{low_high[1]:.3f}" if low_high else "")


def _figures(row: Row) -> Iterable[float | None]:
    by_name: Mapping[str, object] = row
    for column in COLUMNS:
        figure = by_name[column]
        yield figure if isinstance(figure, int | float) else None


def _cell(figure: float | None) -> str:
    if figure is None:
        return "-"
    return str(figure) if isinstance(figure, int) else f"{figure:.3f}"


def _confusion(tally: Tally, threshold: float) -> tuple[float, float, float, float]:
    """Return hits, false alarms, misses and correct rejections."""
    called = tally.values >= threshold
    hit, alarm = tally.positives[called].sum(), tally.negatives[called].sum()
    return hit, alarm, tally.positives.sum() - hit, tally.negatives.sum() - alarm


@dataclass(frozen=True, slots=True)
class _Items:
    """The columns of a manifest as arrays of shape (n,)."""

    labels: npt.NDArray[np.int64]
    probabilities: Floats
    sources: npt.NDArray[np.str_]
    languages: npt.NDArray[np.str_]
    abstained: npt.NDArray[np.bool_]

    @classmethod
    def checked(
        cls,
        labels: Sequence[int],
        probabilities: Sequence[float | None],
        sources: Sequence[str],
        languages: Sequence[str],
        abstained: Sequence[bool],
    ) -> _Items:
        lengths = {len(c) for c in (labels, probabilities, sources, languages, abstained)}
        if len(lengths) != 1:
            raise ValueError(f"the columns differ in length: {sorted(lengths)}")
        known = np.array([np.nan if p is None else p for p in probabilities], np.float64)
        skipped = np.array(abstained, bool)
        judged = known[~skipped]
        if not np.all((judged >= 0) & (judged <= 1)):
            raise ValueError("every judged item needs a probability in 0..1")
        if not set(labels) <= {0, 1}:
            raise ValueError("labels must be 0 or 1")
        return cls(
            np.array(labels, np.int64),
            known,
            np.array(sources, np.str_),
            np.array(languages, np.str_),
            skipped,
        )

    def where(self, mask: npt.NDArray[np.bool_]) -> _Items:
        return _Items(
            self.labels[mask],
            self.probabilities[mask],
            self.sources[mask],
            self.languages[mask],
            self.abstained[mask],
        )

    def split(self, column: npt.NDArray[np.str_]) -> list[tuple[str, _Items]]:
        return [(str(name), self.where(column == name)) for name in np.unique(column)]

    def tally(self) -> Tally:
        judged = ~self.abstained
        return Tally.of(self.labels[judged], self.probabilities[judged])


@dataclass(frozen=True, slots=True)
class _Judge:
    """Computes one row of figures; holds the threshold and the randomness of the bootstrap."""

    threshold: float
    rng: np.random.Generator

    def row(self, items: _Items) -> Row:
        tally = items.tally()
        per_source = [part.tally() for _, part in items.split(items.sources)]
        return Row(
            n=len(items.labels),
            abstained=int(items.abstained.sum()),
            auc=auc(tally),
            macro_auc=_macro_auc(per_source),
            eer=eer(tally),
            macro_f1=macro_f1(tally, self.threshold),
            accuracy=accuracy(tally, self.threshold),
            ece=ece(tally),
            intervals=self._intervals(tally, per_source),
        )

    def _intervals(self, tally: Tally, per_source: Sequence[Tally]) -> dict[str, list[float]]:
        if not tally.total:
            return {}
        draws = [tally.resampled(self.rng) for _ in range(RESAMPLES)]
        metrics: dict[str, Metric] = {
            "auc": auc,
            "eer": eer,
            "macro_f1": lambda t: macro_f1(t, self.threshold),
            "accuracy": lambda t: accuracy(t, self.threshold),
            "ece": ece,
        }
        ranges = {
            name: _middle([metric(draw) for draw in draws]) for name, metric in metrics.items()
        }
        ranges["macro_auc"] = _middle([self._macro_draw(per_source) for _ in range(RESAMPLES)])
        return {name: low_high for name, low_high in ranges.items() if low_high}

    def _macro_draw(self, per_source: Sequence[Tally]) -> float | None:
        return _macro_auc([t.resampled(self.rng) for t in per_source if t.has_both_classes])


def _macro_auc(per_source: Sequence[Tally]) -> float | None:
    known = [area for area in map(auc, per_source) if area is not None]
    return float(np.mean(known)) if known else None


def _middle(draws: Sequence[float | None]) -> list[float] | None:
    """Return the middle 95 % of the draws, or None when the metric was never defined."""
    known = [draw for draw in draws if draw is not None]
    return [float(q) for q in np.quantile(known, [0.025, 0.975])] if known else None
