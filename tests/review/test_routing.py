"""Which results a person must look at, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detection.models import Priority, RiskLevel
from review.models import ReviewItem
from review.routing import open_items, route
from tests import factories

pytestmark = pytest.mark.django_db
Reason = ReviewItem.Reason

UNMEASURED = {"grade": "unmeasured", "groups": [], "auc": None, "low": None, "high": None}


def cleared(**more):
    """A low result that nothing but its reliability could bring before a person."""
    result = factories.ResultFactory(
        percent=3, risk_level=RiskLevel.LOW, reliability={"text": UNMEASURED}
    )
    return replace(factories.completed(result), **more)


@pytest.mark.parametrize(
    ("more", "asks", "reason"),
    [
        ({}, True, Reason.UNMEASURED),
        ({}, False, None),
        ({"is_unmeasured": False}, True, None),
        ({"risk_level": RiskLevel.HIGH}, True, Reason.RISK),  # the graver reason is given
        ({"overall_confidence": None}, True, Reason.NOT_JUDGED),
        # nothing was judged, but a finding such as a content credential is grave by itself
        ({"overall_confidence": None, "risk_level": RiskLevel.HIGH}, True, Reason.RISK),
    ],
)
def test_an_unmeasured_score_asks_for_a_person_where_policy_says_so(more, asks, reason):
    result = cleared(**more)
    result.policy.review_when_unmeasured = asks
    found = route(result, result.policy, draw=0.9)
    assert (found.reason if found else None) == reason


def test_unmeasured_but_cleared_content_is_still_drawn_for_random_checks():
    result = cleared()
    result.policy.review_when_unmeasured = False
    assert route(result, result.policy, draw=0.0).reason == Reason.AUDIT


@pytest.mark.parametrize(
    ("more", "priority"),
    [
        ({}, Priority.LOW),  # behind everything that is risky
        ({"priority": Priority.HIGH}, Priority.HIGH),  # the partner asked for haste
        ({"risk_level": RiskLevel.HIGH}, Priority.HIGH),
    ],
)
def test_low_but_unmeasured_content_waits_behind_the_risky(more, priority):
    open_items(results=[cleared(**more)])
    assert ReviewItem.objects.get().priority == priority
