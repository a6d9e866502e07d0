"""Two models on the same items: differences are paired, and the conclusion says no more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from inference_worker.comparison import Answers, compare
from inference_worker.tables import comparison


def answers(name, probabilities, threshold=0.5):
    return Answers(name, [None if p is None else float(p) for p in probabilities], threshold)


@pytest.fixture(scope="module")
def drawn():
    """Labels, and the same evidence seen through less and through more noise."""
    chance = np.random.default_rng(5)
    labels = chance.integers(0, 2, 600)
    sharp = np.clip(0.3 + 0.4 * labels + chance.normal(0, 0.15, 600), 0, 1)
    blurred = np.clip(sharp + chance.normal(0, 0.3, 600), 0, 1)
    return labels.tolist(), answers("m@1", blurred), answers("m@2", sharp)


def test_the_better_model_is_found_better_and_the_figures_agree_with_scikit_learn(drawn):
    labels, old, new = drawn
    found = compare(labels, old, new)
    assert found["auc"]["old"] == pytest.approx(roc_auc_score(labels, old.probabilities))
    assert found["auc"]["new"] == pytest.approx(roc_auc_score(labels, new.probabilities))
    low, high = found["auc"]["interval"]
    assert 0 < low < found["auc"]["difference"] < high
    assert found["changes"]["put_right"] > found["changes"]["put_wrong"]
    assert found["changes"]["p"] < 0.001
    assert "m@2 is better than m@1 (AUC +0." in found["conclusion"]


def test_the_other_way_round_it_is_worse(drawn):
    labels, old, new = drawn
    assert "m@1 is worse than m@2" in compare(labels, new, old)["conclusion"]


def test_a_model_does_not_differ_from_itself(drawn):
    labels, old, _ = drawn
    found = compare(labels, old, old)
    assert (found["auc"]["difference"], found["auc"]["interval"]) == (0.0, [0.0, 0.0])
    assert found["changes"]["p"] == 1.0
    assert "is not shown to differ" in found["conclusion"]


def test_pairing_shows_a_small_but_steady_gain_that_the_two_intervals_alone_would_hide(drawn):
    labels, old, _ = drawn
    nudged = [
        p + (0.05 if label else -0.05) for p, label in zip(old.probabilities, labels, strict=True)
    ]
    found = compare(labels, old, answers("m@2", np.clip(nudged, 0, 1)))
    assert found["auc"]["interval"][0] > 0


def test_a_better_ranking_with_worse_decisions_is_told_both_ways(drawn):
    labels, old, new = drawn
    misplaced = Answers("m@2", new.probabilities, threshold=0.95)
    assert "differs from m@1 both ways" in compare(labels, old, misplaced)["conclusion"]


def test_mcnemar_counts_the_changed_decisions_and_tests_them_exactly():
    labels = [1] * 10
    old, new = answers("a", [0.1] * 8 + [0.9, 0.9]), answers("b", [0.9] * 9 + [0.1])
    changes = compare(labels, old, new)["changes"]
    assert (changes["put_right"], changes["put_wrong"], changes["both_right"]) == (8, 1, 1)
    assert changes["p"] == pytest.approx(2 * (1 + 9) / 2**9)  # two-sided: 0 or 1 of 9 heads


def test_only_items_that_both_judged_are_compared():
    labels = [0, 1, 0, 1, 1]
    found = compare(
        labels,
        answers("a", [0.1, 0.9, None, 0.8, None]),
        answers("b", [0.2, 0.7, 0.1, None, None]),
    )
    assert (found["n"], found["only_old"], found["only_new"]) == (2, 1, 1)


def test_groups_with_enough_items_are_compared_by_themselves(drawn):
    labels, old, new = drawn
    groups = [["source a"] if n < 40 else ["source b", "language sw"] for n in range(600)]
    found = compare(labels, old, new, groups)
    assert list(found["by_group"]) == ["language sw", "source b"]  # 40 items say too little
    assert found["by_group"]["source b"]["difference"] > 0
    assert "AUC, source b" in comparison(found)


def test_items_of_one_class_have_no_ranking_to_compare():
    found = compare([1, 1], answers("a", [0.1, 0.9]), answers("b", [0.9, 0.9]))
    assert found["auc"]["interval"] is None
    assert "AUC undefined" in found["conclusion"]


@pytest.mark.parametrize(
    ("labels", "old", "new", "named"),
    [
        ([1], [0.1, 0.2], [0.1], "differ in length"),
        ([1, 0], [None, 0.2], [0.1, None], "no item that both models judged"),
    ],
)
def test_what_cannot_be_compared_is_said(labels, old, new, named):
    with pytest.raises(ValueError, match=named):
        compare(labels, answers("a", old), answers("b", new))
