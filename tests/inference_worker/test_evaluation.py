"""The metrics, against scikit-learn and against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from inference_worker.evaluation import evaluate, table, wilson
from inference_worker.figures import Tally, auc, ece, eer, even_precision


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


def test_precision_counts_what_lies_at_the_threshold_or_above():
    found = evaluate(
        [1, 1, 0, 0, 0, 0],
        [0.9, 0.4, 0.8, 0.2, 0.1, 0.1],
        ["s"] * 6,
        ["en"] * 6,
        [False] * 6,
        threshold=0.8,
        levels=[0.85],
    )
    assert found["precision"] == 0.5
    at, above = found["levels"]
    assert (at["from"], at["alarms"], at["right"], at["recall"]) == (0.8, 2, 1, 0.5)
    assert at["even_precision"] == pytest.approx(0.5 / (0.5 + 0.25))
    assert (above["from"], above["precision"]) == (0.85, 1.0)


def test_precision_is_undefined_where_nothing_is_called():
    assert judged([0, 1], [0.1, 0.2])["precision"] is None
    assert even_precision(Tally.of([0, 1], [0.1, 0.2]), 0.5) is None


def test_conditions_make_rows_of_their_own_and_nameless_ones_none():
    found = evaluate(
        [0, 1, 0, 1],
        [0.1, 0.9, 0.9, 0.1],
        ["s"] * 4,
        ["en"] * 4,
        [False] * 4,
        conditions=["", "", "phone codec", "phone codec"],
    )
    assert list(found["by_condition"]) == ["phone codec"]
    assert found["by_condition"]["phone codec"]["auc"] == 0.0
    assert "condition phone codec" in table(found)


def test_the_curve_holds_claim_and_share_of_every_bin_in_use():
    found = judged([1, 0, 0, 0, 1, 1], [0.22, 0.24, 0.26, 0.28, 1.0, 0.95])
    low, high = found["curve"]
    assert (low["low"], low["high"], low["n"], low["observed"]) == (0.2, 0.3, 4, 0.25)
    assert low["claimed"] == pytest.approx(0.25)
    assert (high["n"], high["observed"]) == (2, 1.0)
    assert low["interval"][0] < 0.25 < low["interval"][1]


def test_wilson_agrees_with_the_published_example():
    # 81 of 263 by the score method: .2553 to .3662 (Newcombe 1998, table I)
    assert wilson(81, 263) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson(0, 20)[0] == 0.0
