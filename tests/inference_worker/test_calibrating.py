"""Calibrations are read strictly, and the form is chosen by what holds on sources left out."""

from __future__ import annotations

import numpy as np
import pytest

from inference_worker.calibration import PiecewiseLinear, Platt, read, stated_of
from inference_worker.training.calibrating import (
    choose,
    even_weights,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)


def drawn(shape, sources=5, each=800, seed=3, shift=0.0):
    """Return log odds, labels and sources; `shape` gives the true probability of a log odd."""
    chance = np.random.default_rng(seed)
    x = chance.normal(0, 2, sources * each)
    names = np.repeat([f"s{n}" for n in range(sources)], each)
    moved = x + shift * np.repeat(np.linspace(-1, 1, sources), each)
    return x, (chance.random(len(x)) < shape(moved)).astype(int), names


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def stairs(x):
    """A ranking whose middle says nothing: no sigmoid fits it."""
    return np.where(x < -1, 0.05, np.where(x < 1, 0.5, 0.97))


# --- Reading -------------------------------------------------------------------------------------


def test_knots_are_joined_by_straight_lines_and_flat_outside():
    found = read({"knots": [[-2, 0.1], [0, 0.3], [1, 0.9]]})
    assert [found.probability(x) for x in (-9, -2, -1, 0, 0.5, 1, 9)] == pytest.approx(
        [0.1, 0.1, 0.2, 0.3, 0.6, 0.9, 0.9]
    )


@pytest.mark.parametrize(
    "calibration", [Platt(0.6, -0.4), PiecewiseLinear((-1.5, 0.0, 2.0), (0.1, 0.4, 0.8))]
)
def test_what_is_stated_is_read_back(calibration):
    assert read(stated_of(calibration)) == calibration


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ({"slope": 0, "offset": 0}, "slope must be above 0"),
        ({"slope": -1, "offset": 0}, "slope must be above 0"),
        ({"slope": 1, "offset": float("nan")}, "offset a number"),
        ({"knots": [[0, 0.5]]}, "2 to 100 knots"),
        ({"knots": [[n, n / 200] for n in range(101)]}, "2 to 100 knots"),
        ({"knots": [[0, 0.5], [0, 0.6]]}, "logits of the knots must rise"),
        ({"knots": [[1, 0.5], [0, 0.6]]}, "logits of the knots must rise"),
        ({"knots": [[0, 0.5], [1, 0.5]]}, "probabilities of the knots must rise"),
        ({"knots": [[0, 0.5], [1, float("nan")]]}, "probabilities of the knots must rise"),
        ({"knots": [[0, -0.1], [1, 0.5]]}, r"within 0\.\.1"),
        ({"knots": [[0, 0.1], [1, 1.5]]}, r"within 0\.\.1"),
        ({"knots": [[0, 0.1], [1, 0.5]], "slope": 1, "offset": 0}, "not both"),
    ],
)
def test_a_calibration_that_is_none_is_refused_by_name(stated, named):
    with pytest.raises(ValueError, match=named):
        read(stated)


# --- Fitting -------------------------------------------------------------------------------------


def test_platt_finds_the_sigmoid_the_labels_were_drawn_from():
    x, y, _ = drawn(lambda z: sigmoid(0.7 * z - 0.5), each=4000)
    found = fit_platt(x, y, np.ones(len(x)))
    assert (found.slope, found.offset) == pytest.approx((0.7, -0.5), abs=0.05)


def test_temperature_keeps_even_odds_where_they_are():
    x, y, _ = drawn(lambda z: sigmoid(0.7 * z - 0.5))
    assert fit_temperature(x, y, np.ones(len(x))).probability(0.0) == 0.5


def test_isotonic_follows_a_shape_that_no_sigmoid_has():
    x, y, _ = drawn(stairs, each=4000)
    found = fit_isotonic(x, y, np.ones(len(x)))
    asked = [found.probability(value) for value in (-2.5, -0.5, 0.5, 2.5)]
    assert asked == pytest.approx([0.05, 0.5, 0.5, 0.97], abs=0.06)


def test_isotonic_keeps_the_order_of_the_most_extreme_items():
    x, y, _ = drawn(stairs)
    found = fit_isotonic(x, y, np.ones(len(x)))
    highest = np.sort(x)[-5:]
    claimed = [found.probability(value) for value in highest]
    assert claimed == sorted(set(claimed))
    assert claimed[-1] < 1


def test_log_odds_that_rank_backwards_give_nearly_one_answer_for_all():
    x, y, _ = drawn(lambda z: sigmoid(-2 * z))
    for fit in (fit_platt, fit_isotonic):
        found = fit(x, y, np.ones(len(x)))
        assert 0 < found.probability(3.0) - found.probability(-3.0) < 0.2


# --- Choosing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        (lambda z: sigmoid(0.6 * z), "temperature"),  # only the scale is off
        (lambda z: sigmoid(0.6 * z - 1.5), "platt"),  # and so is the middle
        (stairs, "isotonic"),  # no sigmoid at all
    ],
)
def test_the_stiffest_form_that_holds_on_left_out_sources_is_chosen(shape, form):
    x, y, names = drawn(shape)
    found = choose(x, y, names, weights=np.ones(len(x)))
    assert found.form == form
    assert set(found.tried) == {"temperature", "platt", "isotonic"}
    assert found.tried[form].ece < 0.05
    assert found.stated()["form"] == form


def test_the_error_is_that_of_sources_the_calibration_never_saw():
    x, y, names = drawn(lambda z: sigmoid(0.8 * z), shift=1.5)  # each source has its own middle
    found = choose(x, y, names)
    fitted = np.array([found.calibration.probability(value) for value in x])
    inside = abs(fitted.mean() - y.mean())
    assert found.tried[found.form].log_loss > 0
    assert found.tried[found.form].ece > inside


def test_with_two_sources_platt_is_taken_untested():
    x, y, names = drawn(stairs, sources=2)
    found = choose(x, y, names)
    assert (found.form, dict(found.tried)) == ("platt", {})


def test_one_class_alone_cannot_be_calibrated():
    with pytest.raises(ValueError, match="both classes"):
        choose([0.1, 0.2], [1, 1], ["a", "b"])


def test_classes_and_their_sources_weigh_alike():
    labels = np.array([0, 0, 0, 1, 1])
    weights = even_weights(labels, np.array(["a", "a", "b", "a", "b"]))
    assert weights.tolist() == [0.125, 0.125, 0.25, 0.25, 0.25]
