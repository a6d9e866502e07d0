"""What a score rests on, computed when somebody looks and kept beside it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import structlog

from detection import doorbell, lineup
from detection.models import DetectorScore, ScoreKind
from inference_worker.errors import ModelUnusable, SourceUnavailable
from inference_worker.registry import Registry
from inference_worker.trials import OnTrial
from inference_worker.types import Explains, Passage, Score, Segment

log = structlog.get_logger(__name__)


def is_missing(score: DetectorScore) -> bool:
    """Say whether the score is of a text, was given, and has not been explained yet."""
    return score.kind == ScoreKind.TEXT and bool(score.segments) and not score.evidence


def ask_for(score: DetectorScore) -> None:
    """Have a worker explain the score, unless that has been done."""
    if is_missing(score):
        doorbell.ask_for_evidence(score.pk)


def explain(score_id: int, registry: Registry) -> None:
    """Store the weight of each word: its share of the log odds of the worst window.

    Stored as {"words": [{"start", "end", "weight"}]}, offsets in characters of the text. Only the
    version of the detector that gave a score can explain it; where that can no longer be had,
    {"unavailable": why} is stored instead.
    """
    score = DetectorScore.objects.select_related("result__job__submission").get(pk=score_id)
    try:
        detector = _author(score, registry)
    except ModelUnusable as error:
        log.warning("score cannot be explained", reason=str(error))
        if not isinstance(error, SourceUnavailable):  # else it may be there the next time
            DetectorScore.objects.filter(pk=score_id).update(evidence={"unavailable": str(error)})
        return
    submission = score.result.job.submission
    found = detector.explain(Passage(submission.text, submission.language or None), _said(score))
    score.evidence = {"words": [asdict(word) for word in found.words]}
    score.save(update_fields=["evidence"])


def _author(score: DetectorScore, registry: Registry) -> Any:
    """Return the version that gave the score, loaded for this where it is out of use.

    Raises ModelUnusable.
    """
    author = f"{score.detector}@{score.version}"
    judging = {str(folder): detector for folder, detector in registry.entries}
    found = judging.get(author) or lineup.load_version(score.detector, score.version)
    detector = found.detector if isinstance(found, OnTrial) else found
    if not isinstance(detector, Explains):
        raise ModelUnusable(f"{author} does not explain its scores.")
    return detector


def _said(score: DetectorScore) -> Score:
    return Score(
        detector=score.detector,
        version=score.version,
        label=score.label,
        probability=score.probability or 0.0,
        raw=score.raw or 0.0,
        segments=tuple(Segment(**segment) for segment in score.segments),
    )
