"""How far a score can be trusted for content of this language and condition, as it was measured.

A model folder states one row for each group of content it was measured on. A score gets the row of
the weakest group its content belongs to, or none: then it is unmeasured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypedDict

from inference_worker.types import Reliability

ALL = "all"
"""The group of content about which nothing special is known."""
GROUPS = "groups"
"""Note of a Prepared item: the groups it belongs to, as its detector could tell."""
LANGUAGE, CONDITION = "language:", "condition:"
GROUP = re.compile(rf"{ALL}|({LANGUAGE}|{CONDITION})\S(.{{0,58}}\S)?")

LEAST_ITEMS = 50
"""Judged items below which a group counts as unmeasured: an AUC over 50 items is uncertain by about
.16 either way already."""
LEAST_OF_A_CLASS = 10
"""Items of the rarer class below which a group counts as unmeasured."""
GUESSING = 0.5
"""AUC of a coin."""
FAIR_FROM, STRONG_FROM = 0.70, 0.85
NO_LANGUAGE = frozenset({"", "und", "mul", "zxx"})


class Grade(StrEnum):
    """What a measured reliability is worth, in one word."""

    UNMEASURED = "unmeasured"
    UNPROVEN = "unproven"
    """Measured, but the interval reaches down to guessing."""
    WEAK = "weak"
    FAIR = "fair"
    STRONG = "strong"


class Row(TypedDict):
    """The reliability of one group, as kilinda.json states it."""

    group: str
    set: str
    """The set of figures in `metrics` it was taken from."""
    n: int
    """Judged items."""
    positives: int | None
    """Of these, items for which the label is true; None in folders from before it was counted."""
    auc: float
    low: float
    high: float
    ece: float | None


class StatesReliability(Protocol):
    """A model folder, as far as its reliability is concerned."""

    @property
    def reliability(self) -> Mapping[str, Reliability]:
        """The measured groups by name."""


def reliability_of(folder: StatesReliability, groups: Sequence[str] = ()) -> Reliability | None:
    """Return the weakest measured reliability of the groups an item belongs to.

    None when any of them was not measured. Without groups it is that of all content together. A
    language falls back to its shorter tags: en-KE to en.
    """
    told = [group for group in groups if not _is_no_language(group)]
    return weakest(_measured(folder.reliability, group) for group in told or (ALL,))


def weakest(each: Iterable[Reliability | None]) -> Reliability | None:
    """Return the one with the lowest AUC; None when there is none or one of them is unmeasured."""
    known = list(each)
    measured = [one for one in known if one is not None]
    if not measured or len(measured) < len(known):
        return None
    return min(measured, key=lambda one: one.auc)


def grade(reliability: Reliability | None) -> Grade:
    """Return what a reliability is worth."""
    if reliability is None:
        return Grade.UNMEASURED
    if reliability.low <= GUESSING:
        return Grade.UNPROVEN
    if reliability.auc < FAIR_FROM:
        return Grade.WEAK
    return Grade.FAIR if reliability.auc < STRONG_FROM else Grade.STRONG


def is_relied_on(reliability: Reliability | None) -> bool:
    """Return whether the score was measured, and measured to be better than guessing."""
    return grade(reliability) not in {Grade.UNMEASURED, Grade.UNPROVEN}


def _is_no_language(group: str) -> bool:
    return group.startswith(LANGUAGE) and group.removeprefix(LANGUAGE).lower() in NO_LANGUAGE


def _measured(rows: Mapping[str, Reliability], group: str) -> Reliability | None:
    if not group.startswith(LANGUAGE):
        return rows.get(group)
    tags = group.removeprefix(LANGUAGE).replace("_", "-").split("-")
    by_name = {name.casefold(): row for name, row in rows.items()}
    shorter = ("-".join(tags[:count]) for count in range(len(tags), 0, -1))
    found = (by_name.get(f"{LANGUAGE}{tag}".casefold()) for tag in shorter)
    return next((row for row in found if row is not None), None)


# --- What a model folder states ------------------------------------------------------------------


def rows_of(metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return the reliability rows that follow from sets of figures, the most honest set first.

    The first set that has enough of a group counts; groups with too few items make no row.
    """
    rows: dict[str, Row] = {}
    for name, report in metrics.items():
        for group, figures in _groups(report) if isinstance(report, Mapping) else ():
            if group in rows or not GROUP.fullmatch(group):
                continue
            if row := _row(group, name, figures):
                rows[group] = row
    return list(rows.values())


def _groups(report: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    yield ALL, report
    for language, figures in report.get("by_language", {}).items():
        if language not in NO_LANGUAGE:
            yield f"{LANGUAGE}{language}", figures
    for condition, figures in report.get("by_condition", {}).items():
        yield f"{CONDITION}{condition}", figures


def _row(group: str, name: str, figures: Mapping[str, Any]) -> Row | None:
    interval = figures.get("intervals", {}).get("auc")
    if figures.get("auc") is None or interval is None:
        return None
    judged, positives = figures["n"] - figures.get("abstained", 0), figures.get("positives")
    if judged < LEAST_ITEMS:
        return None
    if positives is not None and min(positives, judged - positives) < LEAST_OF_A_CLASS:
        return None
    return Row(
        group=group,
        set=name,
        n=judged,
        positives=positives,
        auc=figures["auc"],
        low=interval[0],
        high=interval[1],
        ece=figures.get("ece"),
    )


def read(stated: Sequence[Mapping[str, Any]]) -> dict[str, Reliability]:
    """Return the rows of kilinda.json by group.

    Raises KeyError, TypeError or ValueError, naming what is missing or wrong.
    """
    rows: dict[str, Reliability] = {}
    for row in stated:
        group = str(row["group"])
        if group in rows:
            raise ValueError(f"reliability: the group {group!r} is stated twice")
        rows[group] = _read_row(group, row)
    return rows


def _read_row(group: str, row: Mapping[str, Any]) -> Reliability:
    if not GROUP.fullmatch(group):
        raise ValueError(
            f"reliability: a group is {ALL}, {LANGUAGE}TAG or {CONDITION}NAME, not {group!r}"
        )
    auc, low, high = float(row["auc"]), float(row["low"]), float(row["high"])
    if not (0 <= low <= high <= 1 and 0 <= auc <= 1):
        raise ValueError(f"reliability of {group}: auc, low and high must be 0..1, low below high")
    if not isinstance(row["n"], int) or row["n"] < LEAST_ITEMS:
        raise ValueError(
            f"reliability of {group}: n is {row['n']!r}; leave out groups below {LEAST_ITEMS} items"
        )
    return Reliability(group=group, auc=auc, low=low, high=high, n=row["n"])
