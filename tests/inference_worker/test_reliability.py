"""What a score's reliability is: the weakest measured group of the content, or unmeasured."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from inference_worker.evaluation import evaluate
from inference_worker.reliability import Grade, grade, is_relied_on, read, reliability_of, rows_of
from inference_worker.types import Reliability


@dataclass
class Folder:
    reliability: dict[str, Reliability] = field(default_factory=dict)


def measured(group: str, auc: float = 0.8, half: float = 0.05, n: int = 200) -> Reliability:
    return Reliability(group, auc, auc - half, auc + half, n)


def folder(*rows: Reliability) -> Folder:
    return Folder({row.group: row for row in rows})


KNOWN = folder(
    measured("all", 0.75),
    measured("language:en", 0.8),
    measured("language:sw", 0.6),
    measured("language:en-KE", 0.7),
    measured("condition:phone codec", 0.65),
)


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ((), "all"),  # nothing is known about the content
        (("language:en",), "language:en"),
        (("language:en-KE",), "language:en-KE"),
        (("language:en-GB",), "language:en"),  # the sub-tag was not measured
        (("language:EN_gb",), "language:en"),  # as people write it
        (("language:en-Latn-GB",), "language:en"),
        (("language:fr",), None),  # never measured
        (("language:en", "condition:phone codec"), "condition:phone codec"),  # the weaker
        (("language:sw", "condition:phone codec"), "language:sw"),
        (("language:en", "condition:noisy"), None),  # one of them never measured
        (("language:und",), "all"),  # a hint that says nothing
        (("language:und", "condition:noisy"), None),
    ],
)
def test_the_weakest_group_counts_and_an_unmeasured_one_counts_most(groups, found):
    reliability = reliability_of(KNOWN, groups)
    assert (reliability.group if reliability else None) == found


def test_a_folder_without_figures_is_unmeasured():
    assert reliability_of(Folder()) is None


@pytest.mark.parametrize(
    ("reliability", "expected"),
    [
        (None, Grade.UNMEASURED),
        (measured("all", 0.56, 0.14), Grade.UNPROVEN),  # the interval holds a coin's .5
        (measured("all", 0.55, 0.05), Grade.UNPROVEN),  # and so it does at its edge
        (measured("all", 0.40, 0.05), Grade.UNPROVEN),  # worse than guessing
        (measured("all", 0.65), Grade.WEAK),
        (measured("all", 0.70), Grade.FAIR),
        (measured("all", 0.85), Grade.STRONG),
    ],
)
def test_grades(reliability, expected):
    assert grade(reliability) == expected
    assert is_relied_on(reliability) == (expected not in {Grade.UNMEASURED, Grade.UNPROVEN})


# --- From figures to rows ------------------------------------------------------------------------


def report(counts: dict[str, tuple[int, int]], conditions: bool = False) -> dict:
    """Return a report; by language, how many negative and positive items it has."""
    labels, probabilities, names = [], [], []
    for name, (negative, positive) in counts.items():
        labels += [0] * negative + [1] * positive
        probabilities += [0.2] * negative + [0.7] * positive
        names += [name] * (negative + positive)
    blank = [""] * len(labels)
    return evaluate(
        labels,
        probabilities,
        ["s"] * len(labels),
        blank if conditions else names,
        [False] * len(labels),
        conditions=names if conditions else None,
    )


def test_rows_follow_from_the_sets_of_figures_the_first_set_first():
    metrics = {
        "unseen": report({"en": (40, 40)}),
        "seen": report({"en": (90, 90), "am": (40, 40)}),
        "robustness": report({"phone codec": (30, 30)}, conditions=True),
        "faithfulness": {"top": 0.4, "random": 0.1},  # no figures of a ranking
    }
    rows = {row["group"]: row for row in rows_of(metrics)}
    assert {group: row["set"] for group, row in rows.items()} == {
        "all": "unseen",
        "language:en": "unseen",
        "language:am": "seen",
        "condition:phone codec": "robustness",
    }
    assert (rows["language:en"]["n"], rows["language:en"]["positives"]) == (80, 40)
    assert read(list(rows.values()))["language:en"].auc == 1.0


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"ja": (30, 19)}, "fewer than 50 items"),
        ({"ja": (91, 9)}, "fewer than 10 of one class"),
        ({"ja": (80, 0)}, "no AUC"),
        ({"und": (80, 80)}, "no language"),
        ({"": (80, 80)}, "no language"),
    ],
)
def test_a_group_with_too_little_makes_no_row(counts, why):
    groups = {row["group"] for row in rows_of({"unseen": report({"en": (40, 40), **counts})})}
    assert groups == {"all", "language:en"}, why


def test_figures_from_before_classes_were_counted_still_make_rows():
    old = {"n": 61, "abstained": 0, "auc": 0.56, "intervals": {"auc": [0.41, 0.71]}}
    (row,) = rows_of({"unseen": old})
    assert (row["group"], row["n"], row["positives"]) == ("all", 61, None)


ROW = {"group": "language:sw", "set": "x", "n": 61, "auc": 0.56, "low": 0.41, "high": 0.71}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"group": "sw"}, "a group is all, language:TAG or condition:NAME"),
        ({"group": "language:"}, "a group is all"),
        ({"group": "condition: x"}, "a group is all"),
        ({"auc": 1.2}, r"0\.\.1"),
        ({"low": 0.9}, "low below high"),
        ({"high": float("nan")}, r"0\.\.1"),
        ({"n": 49}, "leave out groups below 50"),
        ({"n": "61"}, "leave out groups below 50"),
    ],
)
def test_a_malformed_row_is_named(changed, named):
    with pytest.raises(ValueError, match=named):
        read([{**ROW, **changed}])


def test_a_group_stated_twice_is_refused():
    with pytest.raises(ValueError, match="stated twice"):
        read([ROW, ROW])
