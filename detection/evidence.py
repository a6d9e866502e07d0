"""Where a score's evidence stands, and asking a worker for it (`detection.explaining`).

It is computed when a reviewer opens the item, not before: most content is never opened, a surge is
no time for extra work, and a first look at the content should not be led by the machine's reasons.
"""

from __future__ import annotations

import time
from enum import StrEnum

from detection import doorbell
from detection.models import AnalysisJob, ContentType, DetectorScore
from inference_worker.found_text import passage_of, restored
from inference_worker.types import Passage

LONGEST_SECONDS = 180
"""After this a computation counts as lost: Celery ends the task then."""


class State(StrEnum):
    """Where a score's evidence stands."""

    NONE = "none"
    """The detector did not judge: there is nothing to explain."""
    MISSING = "missing"
    COMPUTING = "computing"
    READY = "ready"
    FAILED = "failed"


def state_of(score: DetectorScore) -> State:
    """Return where the score's evidence stands now."""
    if score.probability is None:
        return State.NONE
    stated = score.evidence.get("state")
    if stated is None:
        return State.MISSING
    if stated == State.COMPUTING and score.evidence["since"] < time.time() - LONGEST_SECONDS:
        return State.FAILED
    return State(stated)


def failure_of(score: DetectorScore) -> str:
    """Return in words why there is no evidence; only for State.FAILED."""
    lost = f"The computation did not end within {LONGEST_SECONDS} seconds."
    return str(score.evidence.get("failure", lost))


def ask_for(score: DetectorScore) -> None:
    """Have a worker explain the score, unless that was done or is being done."""
    if state_of(score) is State.MISSING:
        doorbell.ask_for_evidence(score.pk, lane_of(score))


def try_again(score: DetectorScore) -> None:
    """Have a worker explain the score once more, if it failed or no worker has taken it."""
    if state_of(score) is State.FAILED:
        DetectorScore.objects.filter(pk=score.pk, evidence=score.evidence).update(evidence={})
        score.refresh_from_db(fields=["evidence"])
    ask_for(score)


def lane_of(score: DetectorScore) -> AnalysisJob.Lane:
    """Return the lane whose workers have what it takes: media need a decoder."""
    is_text = score.result.content_type == ContentType.TEXT
    return AnalysisJob.Lane.SCREEN if is_text else AnalysisJob.Lane.MEDIA


def found_passages(score: DetectorScore) -> list[Passage]:
    """Return the texts that machines found in the score's media, as detectors read them."""
    return [passage_of(restored(kept)) for kept in score.result.metadata.get("found_text", [])]
