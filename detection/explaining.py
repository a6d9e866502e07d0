"""Explains scores in a worker: what each rests on, kept beside it with its drawings."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import structlog
from django.db.models import Q

from detection import evidence, evidence_files, lineup
from detection.blobs import local_file
from detection.evidence import LONGEST_SECONDS, State
from detection.models import ContentType, DetectorScore, ScoreKind, Submission
from inference_worker.decoding.decoder import Decoder
from inference_worker.drawing.values import Stamp
from inference_worker.errors import InferenceError, ModelUnusable
from inference_worker.exhibits import exhibit
from inference_worker.explaining.judging import log_odds
from inference_worker.registry import Registry
from inference_worker.trials import OnTrial
from inference_worker.types import Content, Detector, Footage, Modality, Passage, Score, Segment

log = structlog.get_logger(__name__)


def explain(score_id: int, registry: Registry, decoder: Decoder | None) -> None:
    """Compute and store the evidence, unless another worker does or did. Failures are kept too.

    Stored: state, method, when, by which version, the facts, and the drawings' names and hashes;
    or state and failure. Only the version of the detector that gave a score can explain it.
    """
    score = _claimed(score_id)
    if score is None:
        return
    try:
        found = _computed(score, registry, decoder)
    except InferenceError as error:
        found = _failed(str(error))
    except Exception:
        log.exception("evidence not computed", score=score_id)
        found = _failed("The evidence could not be computed; the workers' log says why.")
    if not DetectorScore.objects.filter(pk=score_id).update(evidence=found):
        evidence_files.remove(found.get("drawings", ()))  # deleted meanwhile


def _claimed(score_id: int) -> DetectorScore | None:
    """Mark the score as being explained by this worker, or return None: two never both do it."""
    lost = Q(evidence__state=State.COMPUTING, evidence__since__lt=time.time() - LONGEST_SECONDS)
    free = DetectorScore.objects.filter(
        ~Q(evidence__has_key="state") | lost, pk=score_id, probability__isnull=False
    )
    mark = {"state": State.COMPUTING, "since": round(time.time(), 1)}
    if not free.update(evidence=mark):
        return None
    related = "result__job__submission__media"
    return DetectorScore.objects.select_related(related).filter(pk=score_id).first()


def _computed(score: DetectorScore, registry: Registry, decoder: Decoder | None) -> dict[str, Any]:
    detector, threshold = _author(score, registry)
    submission = score.result.job.submission
    content = _part(score, submission, detector, decoder)
    now = datetime.now(UTC)
    stamp = Stamp(
        detector=score.detector,
        version=score.version,
        label=score.label,
        probability=score.probability or 0.0,
        threshold=threshold,
        computed_at=now,
        sha256=_sha256(submission),
    )
    found = exhibit(detector, content, _said(score), stamp)
    return {
        "state": State.READY,
        "method": found.method,
        "computed_at": now.isoformat(timespec="seconds"),
        "content_sha256": stamp.sha256,
        "facts": found.facts | _judged_text(content),
        "drawings": evidence_files.keep(score.pk, found.drawings),
    }


def _failed(why: str) -> dict[str, Any]:
    return {"state": State.FAILED, "failure": why}


def _author(score: DetectorScore, registry: Registry) -> tuple[Detector, float]:
    """Return the version that gave the score, loaded for this where it is out of use.

    With the probability from which it says yes. Raises ModelUnusable.
    """
    author = (score.detector, score.version)
    judging = {(folder.name, folder.version): (folder, each) for folder, each in registry.entries}
    folder, detector = judging.get(author) or lineup.load_version(*author)
    return (detector.detector if isinstance(detector, OnTrial) else detector), folder.threshold


def _part(
    score: DetectorScore, submission: Submission, detector: Detector, decoder: Decoder | None
) -> Content:
    """Return what the detector judged: the text, or the part of the media."""
    language = submission.language or None
    if score.result.content_type == ContentType.TEXT:
        return Passage(submission.text, language)
    if score.kind == ScoreKind.TEXT:
        return _found_passage(score, detector)
    assert decoder is not None, "media are explained in the media lane"
    assert submission.media, "media without bytes: the constraint submission_has_its_content"
    with local_file(submission.media) as path:
        content: Content = decoder.decode(path, Modality(score.result.content_type))
    if isinstance(content, Footage) and score.kind == ScoreKind.AUDIO:
        assert content.sound is not None, "a score of a sound track that is not there"
        return content.sound
    return content


def _found_passage(score: DetectorScore, detector: Detector) -> Passage:
    """Return the text found in media that was judged: of several, the one that scores the same.

    It was written on a picture, or said: the score itself does not name which.
    """
    passages = evidence.found_passages(score)
    if not passages:
        raise ModelUnusable("The text that was found in the media was not kept.")
    if len(passages) == 1:
        return passages[0]
    distance = np.abs(log_odds(detector, passages) - (score.raw or 0.0))
    return passages[int(np.nan_to_num(distance, nan=np.inf).argmin())]


def _judged_text(content: Content) -> dict[str, str]:
    """Return the hash of a judged text, by which the page finds it among those found in media."""
    if not isinstance(content, Passage):
        return {}
    return {"text_sha256": hashlib.sha256(content.text.encode()).hexdigest()}


def _sha256(submission: Submission) -> str:
    if submission.media_id:
        return str(submission.media_id)
    return hashlib.sha256(submission.text.encode()).hexdigest()


def _said(score: DetectorScore) -> Score:
    return Score(
        detector=score.detector,
        version=score.version,
        label=score.label,
        probability=score.probability or 0.0,
        raw=score.raw or 0.0,
        segments=tuple(Segment(**segment) for segment in score.segments),
    )
