"""Finished analyses of crawled posts: keep the result with the post, and flag what is risky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detection.models import RiskLevel, Submission
from detection.signals import Completed
from scans.models import SocialMediaScan

FLAGGED_LEVELS = frozenset({RiskLevel.HIGH, RiskLevel.CRITICAL})


def flag_scans(*, results: Sequence[Completed], **_: Any) -> None:
    """Store each result with the post it came from, in the caller's transaction."""
    for result in results:
        if result.source == Submission.Source.SCAN:
            SocialMediaScan.objects.filter(submission_id=result.submission_id).update(
                scan_result_id=result.result_id, flagged=result.risk_level in FLAGGED_LEVELS
            )
