"""How good a model is: figures over labels and calibrated probabilities, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from inference_worker.figures import (
    Floats,
    Metric,
    Tally,
    accuracy,
    auc,
    ece,
    eer,
    even_precision,
    macro_f1,
    middle,
    precision,
    recall,
)

RESAMPLES = 300
"""Bootstrap draws for an interval; the 2.5 % tail then still holds seven of them."""
CURVE_BINS = 10
"""Of the reliability diagram: equally wide, so that the picture has an even scale."""
LEVELS = (0.5, 0.8, 0.95)
"""Where the delivered policy begins to speak of medium, high and critical risk."""
Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


class Row(TypedDict):
    """The figures of one group of items; None where a metric is undefined (one class only)."""

    n: int
    """Items in the group, the abstained ones included."""
    abstained: int
    """Items the model declined to judge; they enter no other figure."""
    positives: int
    """Judged items for which the label is true."""
    auc: float | None
    macro_auc: float | None
    """Mean AUC over the group's sources that have both classes."""
    eer: float | None
    macro_f1: float | None
    accuracy: float | None
    ece: float | None
    precision: float | None
    """Share of what lies at the model's threshold or above that is truly positive."""
    intervals: dict[str, list[float]]
    """Metric name to its 95 % bootstrap interval [low, high]."""


class Bin(TypedDict):
    """One bin of the reliability diagram."""

    low: float
    high: float
    n: int
    claimed: float
    """Mean probability the model stated."""
    observed: float
    """Share of positive items."""
    interval: list[float]
    """95 % interval of `observed` (Wilson)."""


Level = TypedDict(
    "Level",
    {
        "from": float,
        "alarms": int,
        "right": int,
        "precision": float | None,
        "even_precision": float | None,
        "recall": float | None,
        "intervals": dict[str, list[float]],
    },
)
"""What is called positive from one probability up, and how much of it rightly."""


class Report(Row):
    """The figures of a whole manifest: what `evaluate --json` writes."""

    threshold: float
    by_source: dict[str, Row]
    by_language: dict[str, Row]
    by_condition: dict[str, Row]
    curve: list[Bin]
    levels: list[Level]


def evaluate(
    labels: Sequence[int],
    probabilities: Sequence[float | None],
    sources: Sequence[str],
    languages: Sequence[str],
    abstained: Sequence[bool],
    *,
    conditions: Sequence[str] | None = None,
    threshold: float = 0.5,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
) -> Report:
    """Return all figures over the items, and again by source, by language and by condition.

    The sequences run in parallel; the probability of an abstained item is ignored, and so is a
    condition of "". Precision is reported from `threshold` and from each of `levels` up.
    Raises ValueError when the lengths differ or a judged item has no probability in 0..1.
    """
    items = _Items.checked(
        labels, probabilities, sources, languages, abstained, conditions or [""] * len(labels)
    )
    named = items.where(items.conditions != "")
    judge = _Judge(threshold, np.random.default_rng(seed))
    return Report(
        **judge.row(items),
        threshold=threshold,
        by_source=judge.rows(items, items.sources),
        by_language=judge.rows(items, items.languages),
        by_condition=judge.rows(named, named.conditions),
        curve=curve(items.tally()),
        levels=[judge.level(items.tally(), each) for each in sorted({threshold, *levels})],
    )


def curve(tally: Tally) -> list[Bin]:
    """Return the reliability diagram: the bins that hold anything, from the lowest up."""
    places = np.minimum((tally.values * CURVE_BINS).astype(int), CURVE_BINS - 1)
    return [_bin(place, tally, places == place) for place in np.unique(places).tolist()]


def _bin(place: int, tally: Tally, within: npt.NDArray[np.bool_]) -> Bin:
    counts = (tally.positives + tally.negatives)[within]
    n, hits = float(counts.sum()), float(tally.positives[within].sum())
    return Bin(
        low=place / CURVE_BINS,
        high=(place + 1) / CURVE_BINS,
        n=int(n),
        claimed=float(tally.values[within] @ counts / n),
        observed=hits / n,
        interval=wilson(hits, n),
    )


def wilson(hits: float, n: float) -> list[float]:
    """Return the 95 % interval of a share of `n`, which stays honest near 0 and 1 (Wilson 1927)."""
    share, spread = hits / n, Z * Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z * float(np.sqrt(share * (1 - share) / n + spread / (4 * n))) / (1 + spread)
    return [max(centre - half, 0.0), min(centre + half, 1.0)]


COLUMNS = (
    "n",
    "abstained",
    "positives",
    "auc",
    "macro_auc",
    "eer",
    "macro_f1",
    "accuracy",
    "ece",
    "precision",
)


def table(report: Report) -> str:
    """Return the report as a plain text table: one line for all and for each group of items."""
    rows: list[tuple[str, Row]] = [("all", report)]
    rows += [(f"source {name}", row) for name, row in report["by_source"].items()]
    rows += [(f"language {name}", row) for name, row in report["by_language"].items()]
    rows += [(f"condition {name}", row) for name, row in report["by_condition"].items()]
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


@dataclass(frozen=True, slots=True)
class _Items:
    """The columns of a manifest as arrays of shape (n,)."""

    labels: npt.NDArray[np.int64]
    probabilities: Floats
    sources: npt.NDArray[np.str_]
    languages: npt.NDArray[np.str_]
    abstained: npt.NDArray[np.bool_]
    conditions: npt.NDArray[np.str_]

    @classmethod
    def checked(
        cls,
        labels: Sequence[int],
        probabilities: Sequence[float | None],
        sources: Sequence[str],
        languages: Sequence[str],
        abstained: Sequence[bool],
        conditions: Sequence[str],
    ) -> _Items:
        columns = (labels, probabilities, sources, languages, abstained, conditions)
        lengths = {len(column) for column in columns}
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
            np.array(conditions, np.str_),
        )

    def where(self, mask: npt.NDArray[np.bool_]) -> _Items:
        return _Items(*(getattr(self, column.name)[mask] for column in fields(self)))

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

    def rows(self, items: _Items, column: npt.NDArray[np.str_]) -> dict[str, Row]:
        return {name: self.row(part) for name, part in items.split(column)}

    def row(self, items: _Items) -> Row:
        tally = items.tally()
        per_source = [part.tally() for _, part in items.split(items.sources)]
        metrics: dict[str, Metric] = {
            "auc": auc,
            "eer": eer,
            "macro_f1": partial(macro_f1, threshold=self.threshold),
            "accuracy": partial(accuracy, threshold=self.threshold),
            "ece": ece,
            "precision": partial(precision, threshold=self.threshold),
        }
        intervals = self._intervals(tally, metrics)
        if macro := middle([self._macro_draw(per_source) for _ in range(RESAMPLES)]):
            intervals["macro_auc"] = macro
        return Row(
            n=len(items.labels),
            abstained=int(items.abstained.sum()),
            positives=int(tally.positives.sum()),
            auc=auc(tally),
            macro_auc=_macro_auc(per_source),
            eer=eer(tally),
            macro_f1=macro_f1(tally, self.threshold),
            accuracy=accuracy(tally, self.threshold),
            ece=ece(tally),
            precision=precision(tally, self.threshold),
            intervals=intervals,
        )

    def level(self, tally: Tally, lowest: float) -> Level:
        called = tally.values >= lowest
        hits, alarms = tally.positives[called].sum(), tally.negatives[called].sum()
        metrics: dict[str, Metric] = {
            "precision": partial(precision, threshold=lowest),
            "even_precision": partial(even_precision, threshold=lowest),
            "recall": partial(recall, threshold=lowest),
        }
        return Level(
            {
                "from": lowest,
                "alarms": int(hits + alarms),
                "right": int(hits),
                "precision": precision(tally, lowest),
                "even_precision": even_precision(tally, lowest),
                "recall": recall(tally, lowest),
                "intervals": self._intervals(tally, metrics),
            }
        )

    def _intervals(self, tally: Tally, metrics: dict[str, Metric]) -> dict[str, list[float]]:
        if not tally.total:
            return {}
        draws = [tally.resampled(self.rng) for _ in range(RESAMPLES)]
        ranges = {
            name: middle([metric(draw) for draw in draws]) for name, metric in metrics.items()
        }
        return {name: low_high for name, low_high in ranges.items() if low_high}

    def _macro_draw(self, per_source: Sequence[Tally]) -> float | None:
        return _macro_auc([t.resampled(self.rng) for t in per_source if t.has_both_classes])


def _macro_auc(per_source: Sequence[Tally]) -> float | None:
    known = [area for area in map(auc, per_source) if area is not None]
    return float(np.mean(known)) if known else None
