"""Which finished analyses a person must look at, and in which order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detection import results as verdicts
from detection.models import Policy, Priority, RiskLevel
from detection.signals import Completed
from review import broadcast
from review.models import ReviewItem
from review.opening import open_together

_RISE = {level: place for place, level in enumerate(RiskLevel.values)}

_PRIORITY = {
    RiskLevel.CRITICAL: Priority.URGENT,
    RiskLevel.HIGH: Priority.HIGH,
    RiskLevel.MEDIUM: Priority.NORMAL,
    RiskLevel.LOW: Priority.LOW,
}


@dataclass(frozen=True, slots=True)
class Route:
    """Why a person must look; for a random check, the chance (0..1) it was drawn with."""

    reason: ReviewItem.Reason
    sampling_probability: float | None = None


def route(result: Completed, policy: Policy, draw: float) -> Route | None:
    """Return why a person must look at the result, or None. `draw` is uniform in [0, 1)."""
    is_risky = _RISE[result.risk_level] >= _RISE[policy.review_from]
    if result.overall_confidence is None and policy.review_when_not_judged:
        is_raised = _RISE[result.risk_level] > _RISE[RiskLevel.MEDIUM]  # by a finding
        by_risk = is_risky and is_raised
        return Route(ReviewItem.Reason.RISK if by_risk else ReviewItem.Reason.NOT_JUDGED)
    if is_risky:
        return Route(ReviewItem.Reason.RISK)
    if result.is_unmeasured and policy.review_when_unmeasured:
        return Route(ReviewItem.Reason.UNMEASURED)
    chance = float(policy.audit_rate_percent) / 100
    if draw < chance:
        return Route(ReviewItem.Reason.AUDIT, chance)
    return None


def open_items(*, results: Sequence[Completed], **_: Any) -> None:
    """Open a review item for each result that asks for one, in the caller's transaction.

    However many there are: one statement, and one announcement when it has committed.
    """
    chance = random.SystemRandom()
    items = [
        _item(result, found)
        for result in results
        if (found := route(result, result.policy, chance.random()))
    ]
    if items:
        verdicts.review_opened(item.result_id for item in items)
        broadcast.announce(open_together(items))


def _priority(result: Completed, found: Route) -> int:
    """Return the order in the queue; what is low but unmeasured must not hide what is risky."""
    asked = result.priority
    if found.reason == ReviewItem.Reason.UNMEASURED and asked == Priority.NORMAL:
        asked = Priority.LOW
    return min(asked, _PRIORITY[result.risk_level])


def _item(result: Completed, found: Route) -> ReviewItem:
    return ReviewItem(
        job_id=result.job_id,
        result_id=result.result_id,
        organisation_id=result.organisation_id,
        reason=found.reason,
        sampling_probability=found.sampling_probability,
        priority=int(_priority(result, found)),
        severity=result.overall_confidence or 0.0,
    )
