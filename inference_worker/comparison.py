"""Whether one model is better than another on the same items: paired, so that luck cancels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from inference_worker.figures import Floats, Metric, Tally, auc, ece, macro_f1, middle

RESAMPLES = 1000
"""Bootstrap draws: 25 lie beyond either end of the 95 % interval of a difference."""
LEAST_ITEMS = 50
"""Of a group that is compared by itself."""
ALPHA = 0.05


class Difference(TypedDict):
    """One figure of both models, and the new one's less the old one's."""

    old: float | None
    new: float | None
    difference: float | None
    interval: list[float] | None
    """95 % paired bootstrap interval of the difference."""


class Changes(TypedDict):
    """Decisions at each model's own threshold (McNemar's table)."""

    both_right: int
    both_wrong: int
    put_right: int
    """The old model was wrong, the new one is right."""
    put_wrong: int
    p: float
    """Exact probability of so uneven a change if neither model were better."""


class Comparison(TypedDict):
    """What `evaluate --against` says."""

    old: str
    new: str
    n: int
    """Items both models judged; the others enter no figure."""
    only_old: int
    """Items only the old model judged."""
    only_new: int
    auc: Difference
    macro_f1: Difference
    ece: Difference
    changes: Changes
    by_group: dict[str, Difference]
    """AUC of each source, language and condition with enough items."""
    conclusion: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model said: a probability for each item, None where it did not judge."""

    name: str
    probabilities: Sequence[float | None]
    threshold: float


def compare(
    labels: Sequence[int],
    old: Answers,
    new: Answers,
    groups: Sequence[Sequence[str]] = (),
    *,
    seed: int = 0,
) -> Comparison:
    """Return how `new` differs from `old`; all sequences run in parallel.

    `groups` names for each item the groups it belongs to, such as "language sw".
    Raises ValueError when the lengths differ or no item was judged by both.
    """
    if len({len(labels), len(old.probabilities), len(new.probabilities)}) != 1:
        raise ValueError("the columns differ in length")
    pairs = zip(old.probabilities, new.probabilities, strict=True)
    by_old, by_new = np.array([(a is not None, b is not None) for a, b in pairs], bool).T
    both = np.flatnonzero(by_old & by_new)
    if not len(both):
        raise ValueError("there is no item that both models judged")
    paired = _Paired.of(labels, old, new, both)
    rng = np.random.default_rng(seed)
    area, f1, error = paired.differences(rng)
    changes = paired.changes()
    return Comparison(
        old=old.name,
        new=new.name,
        n=len(both),
        only_old=int((by_old & ~by_new).sum()),
        only_new=int((by_new & ~by_old).sum()),
        auc=area,
        macro_f1=f1,
        ece=error,
        changes=changes,
        by_group={
            name: paired.where(places).area(rng)
            for name, places in _places(groups, both)
            if len(places) >= LEAST_ITEMS
        },
        conclusion=_conclusion(old.name, new.name, len(both), area, changes),
    )


def _places(
    groups: Sequence[Sequence[str]], both: npt.NDArray[np.int64]
) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return each group's name and where its items lie among those that both judged."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(both.tolist()):
        for name in groups[item] if groups else ():
            found.setdefault(name, []).append(place)
    return [(name, np.array(places)) for name, places in sorted(found.items())]


@dataclass(frozen=True, slots=True)
class _Paired:
    """The items that both models judged, as arrays of shape (n,)."""

    labels: Floats
    old: Floats
    new: Floats
    old_threshold: float
    new_threshold: float

    @classmethod
    def of(
        cls, labels: Sequence[int], old: Answers, new: Answers, both: npt.NDArray[np.int64]
    ) -> _Paired:
        def taken(values: Sequence[float | None]) -> Floats:
            return np.array([values[place] for place in both.tolist()], np.float64)

        return cls(
            taken(labels),
            taken(old.probabilities),
            taken(new.probabilities),
            old.threshold,
            new.threshold,
        )

    def where(self, places: npt.NDArray[np.int64]) -> _Paired:
        return _Paired(
            self.labels[places],
            self.old[places],
            self.new[places],
            self.old_threshold,
            self.new_threshold,
        )

    def differences(self, rng: np.random.Generator) -> list[Difference]:
        """Return the differences in AUC, macro-F1 (each at its own threshold) and ECE."""
        return self._over(
            [
                (auc, auc),
                (
                    lambda tally: macro_f1(tally, self.old_threshold),
                    lambda tally: macro_f1(tally, self.new_threshold),
                ),
                (ece, ece),
            ],
            rng,
        )

    def area(self, rng: np.random.Generator) -> Difference:
        """Return the difference in AUC."""
        return self._over([(auc, auc)], rng)[0]

    def changes(self) -> Changes:
        truth = self.labels == 1
        old_right = (self.old >= self.old_threshold) == truth
        new_right = (self.new >= self.new_threshold) == truth
        put_right, put_wrong = (
            int((new_right & ~old_right).sum()),
            int((old_right & ~new_right).sum()),
        )
        changed = put_right + put_wrong
        return Changes(
            both_right=int((old_right & new_right).sum()),
            both_wrong=int((~old_right & ~new_right).sum()),
            put_right=put_right,
            put_wrong=put_wrong,
            p=float(binomtest(put_right, changed).pvalue) if changed else 1.0,
        )

    def _over(
        self, metrics: Sequence[tuple[Metric, Metric]], rng: np.random.Generator
    ) -> list[Difference]:
        old, new = _Cells.of(self.labels, self.old), _Cells.of(self.labels, self.new)
        even = np.ones(len(self.labels))
        draws: list[list[float | None]] = [[] for _ in metrics]
        for _ in range(RESAMPLES):
            counts = rng.multinomial(len(even), even / len(even)).astype(np.float64)
            before, after = old.tally(counts), new.tally(counts)
            for drawn, (of_old, of_new) in zip(draws, metrics, strict=True):
                drawn.append(_less(of_new(after), of_old(before)))
        before, after = old.tally(even), new.tally(even)
        return [
            Difference(
                old=(was := of_old(before)),
                new=(now := of_new(after)),
                difference=_less(now, was),
                interval=middle(drawn),
            )
            for drawn, (of_old, of_new) in zip(draws, metrics, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Where each item's probability lies among the distinct ones: resamples are quick to count."""

    labels: Floats
    values: Floats
    cell: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Floats, probabilities: Floats) -> _Cells:
        values, cell = np.unique(probabilities, return_inverse=True)
        return cls(labels, values, cell)

    def tally(self, counts: Floats) -> Tally:
        k = len(self.values)
        positives = np.bincount(self.cell, weights=counts * self.labels, minlength=k)
        negatives = np.bincount(self.cell, weights=counts * (1 - self.labels), minlength=k)
        return Tally(self.values, positives.astype(np.float64), negatives.astype(np.float64))


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _conclusion(old: str, new: str, n: int, area: Difference, changes: Changes) -> str:
    """Return in one sentence whether the new model is better, worse, or not shown to differ."""
    where = f"On the {n} items that both judged, {new}"
    ranks = _direction(area["interval"])
    decides = 0 if changes["p"] >= ALPHA else np.sign(changes["put_right"] - changes["put_wrong"])
    ranking = _ranking(area)
    deciding = (
        f"{changes['put_right']} decisions are put right and {changes['put_wrong']} wrong, "
        f"p = {changes['p']:.2g}"
    )
    if ranks * decides < 0:
        verdict = f"differs from {old} both ways: look at the groups before you change"
    elif ranks > 0 or decides > 0:
        verdict = f"is better than {old}"
    elif ranks < 0 or decides < 0:
        verdict = f"is worse than {old}"
    else:
        verdict = f"is not shown to differ from {old}"
    return f"{where} {verdict} ({ranking}; {deciding})."


def _direction(interval: list[float] | None) -> int:
    """Return 1 or -1 where the whole interval lies on one side of 0, else 0."""
    if interval is None:
        return 0
    return int(interval[0] > 0) - int(interval[1] < 0)


def _ranking(area: Difference) -> str:
    if area["difference"] is None or area["interval"] is None:
        return "AUC undefined: the items are of one class"
    low, high = area["interval"]
    return f"AUC {area['difference']:+.3f}, 95 % {low:+.3f} to {high:+.3f}"
