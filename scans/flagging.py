"""Finished analyses of crawled posts: keep the result with the post, and flag what is risky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detection.models import AnalysisResult, RiskLevel, Submission
from scans.models import SocialMediaScan

FLAGGED_LEVELS = frozenset({RiskLevel.HIGH, RiskLevel.CRITICAL})


def flag_scans(*, results: Sequence[AnalysisResult], **_: Any) -> None:
    """Store each result with the post it came from, in the caller's transaction."""
    for result in results:
        submission = result.job.submission
        if submission.source == Submission.Source.SCAN:
            SocialMediaScan.objects.filter(submission=submission).update(
                scan_result=result, flagged=result.risk_level in FLAGGED_LEVELS
            )
