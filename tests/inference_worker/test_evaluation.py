"""The metrics, against scikit-learn and against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from inference_worker.evaluation import Tally, auc, ece, eer, evaluate, table


def judged(labels, probabilities, sources=None, abstained=None):
    count = len(labels)
    return evaluate(
        labels,
        probabilities,
        sources or ["s"] * count,
        ["en"] * count,
        abstained or [False] * count,
    )


@pytest.fixture(scope="module")
def sample():
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 2, 400)
    probabilities = np.clip(chance.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(2)
    return labels.tolist(), probabilities.tolist()


def test_auc_f1_and_accuracy_agree_with_scikit_learn_on_tied_scores(sample):
    labels, probabilities = sample
    called = np.array(probabilities) >= 0.5
    found = judged(labels, probabilities)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, called, average="macro"))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, called))


def test_every_interval_holds_its_figure(sample):
    found = judged(*sample)
    for name, (low, high) in found["intervals"].items():
        slack = 0.03 if name == "ece" else 0  # resampling noise adds to a calibration error
        assert low - slack <= found[name] <= high, name


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], 0.0),  # a perfect ranking
        ([0.9, 0.8, 0.2, 0.1], 1.0),  # a perfectly wrong one
        ([0.5, 0.5, 0.5, 0.5], 0.5),  # no ranking at all
        ([0.1, 0.6, 0.4, 0.9], 0.5),  # one of two misplaced on either side
    ],
)
def test_equal_error_rate_of_small_cases(probabilities, expected):
    assert eer(Tally.of([0, 0, 1, 1], probabilities)) == pytest.approx(expected)


def test_calibration_error_is_the_gap_between_claim_and_share():
    assert ece(Tally.of([1, 0, 0, 0], [0.75] * 4)) == pytest.approx(0.5)
    assert ece(Tally.of([1, 1, 1, 0], [0.75] * 4)) == pytest.approx(0.0)


def test_macro_auc_weighs_sources_alike_and_skips_those_of_one_class():
    labels = [0, 1, 0, 1, 0, 1, 1, 1]
    probabilities = [0.1, 0.9, 0.2, 0.8, 0.9, 0.1, 0.3, 0.3]
    sources = ["right"] * 4 + ["wrong"] * 2 + ["one class"] * 2
    found = judged(labels, probabilities, sources)
    assert found["macro_auc"] == pytest.approx(0.5)
    assert found["by_source"]["one class"]["auc"] is None
    assert found["by_source"]["wrong"]["auc"] == 0.0


def test_abstained_items_count_but_are_not_judged():
    found = judged([0, 1, 1], [0.1, 0.9, None], abstained=[False, False, True])
    assert (found["n"], found["abstained"], found["auc"]) == (3, 1, 1.0)


def test_a_group_in_which_everything_abstained_has_no_figures():
    found = judged([0, 1], [None, None], abstained=[True, True])
    assert (found["auc"], found["accuracy"], found["intervals"]) == (None, None, {})
    assert "all" in table(found)


@pytest.mark.parametrize(
    ("labels", "probabilities", "named"),
    [
        ([0, 1], [0.5], "differ in length"),
        ([0, 1], [0.5, 1.5], r"in 0\.\.1"),
        ([0, 1], [0.5, None], r"in 0\.\.1"),
        ([0, 2], [0.5, 0.5], "labels must be 0 or 1"),
    ],
)
def test_malformed_columns_are_named(labels, probabilities, named):
    with pytest.raises(ValueError, match=named):
        evaluate(labels, probabilities, ["s"] * 2, ["en"] * 2, [False] * 2)


def test_auc_needs_both_classes():
    assert auc(Tally.of([1, 1], [0.2, 0.4])) is None
