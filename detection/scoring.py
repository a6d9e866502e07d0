"""Feeds the runtime from the queue, and writes what it found: one transaction for each group."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event as Flag
from threading import Thread, get_ident
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import (
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    transaction,
)
from django.utils import timezone

from detection import doorbell, policies, queue
from detection.blobs import local_path
from detection.fusion import Outcome, Rules, fuse
from detection.models import (
    AnalysisJob,
    ContentType,
    Media,
    Policy,
    Submission,
)
from detection.queue import ClaimedJob
from detection.reliability import stated
from detection.signals import Completed, analysis_completed
from detection.writing import EventRow, ResultRow, ScoreRow, write
from inference_worker.looks import Judged, Sense
from inference_worker.runtime import Analysed, Work
from inference_worker.trials import Role, roles
from inference_worker.types import Abstention, Modality, Observation, Passage, Score, Segment
from kilinda import metrics
from kilinda.ids import uuid7
from kilinda.partners.events import append

log = structlog.get_logger(__name__)

MEDIA_CLAIM_SIZE = 4
"""Media take long; a worker that claims few leaves the rest to others."""

Claimer = Callable[[], list[ClaimedJob]]


class QueueSource:
    """The runtime's source of jobs: one lane of the queue, until a moment or a stop."""

    def __init__(self, claimer: Claimer, *, may_claim: Callable[[], bool]) -> None:
        """`claimer` leases jobs; `may_claim` says whether to take more."""
        self._claimer = claimer
        self._may_claim = may_claim
        self._copies: dict[Any, Path] = {}
        self._policy: tuple[Policy, Rules] | None = None
        self._checked: set[int] = set()
        self.claimed = 0

    def claim(self) -> Sequence[Work[ClaimedJob]]:
        """Lease jobs, ready for the runtime."""
        self._check_connection()
        if not self._may_claim():
            return []
        jobs = self._claimer()
        if jobs:
            self._policy = policies.active()
        self.claimed += len(jobs)
        return [self._work(job) for job in jobs]

    def finish(self, analysed: Sequence[Analysed[ClaimedJob]]) -> None:
        """Write the results of those jobs whose lease still holds."""
        self._check_connection()
        assert self._policy, "nothing is finished before it was claimed"
        policy, rules = self._policy
        record(analysed, policy=policy, rules=rules)
        for each in analysed:
            self._forget_copy(each.job)

    def fail(self, job: ClaimedJob, code: str, reason: str) -> None:
        """End the job with a reason, and tell the partner."""
        self._check_connection()
        fail(job, code=code, reason=reason)
        self._forget_copy(job)

    def retry(self, job: ClaimedJob, code: str, reason: str) -> None:
        """Queue the job again for later."""
        self._check_connection()
        retry(job, code=code, reason=reason)
        self._forget_copy(job)

    def _check_connection(self) -> None:
        """Replace a connection that died since the last drain, once for each thread.

        When one dies during a drain, the drain fails and its jobs come back through the sweep.
        """
        if (thread := get_ident()) not in self._checked:
            self._checked.add(thread)
            close_old_connections()

    def _work(self, job: ClaimedJob) -> Work[ClaimedJob]:
        if job.content_type == ContentType.TEXT:
            passage = Passage(job.text, job.language or None)
            return Work(job, Modality.TEXT, passage=passage, draw=draw_of(job.id))
        modality = Modality(job.content_type.value)
        return Work(
            job,
            modality,
            path=self._path_of(job),
            language=job.language or None,
            draw=draw_of(job.id),
        )

    def _path_of(self, job: ClaimedJob) -> Path:
        """Return where the bytes lie; a copy of them when the storage is not a local folder."""
        assert job.media_sha256, "media without bytes: the constraint submission_has_its_content"
        name = Media(sha256=job.media_sha256).storage_name
        if local := local_path(name):
            return local
        copy = self._copies[job.id] = _copied(name)
        return copy

    def _forget_copy(self, job: ClaimedJob) -> None:
        if copy := self._copies.pop(job.id, None):
            copy.unlink(missing_ok=True)


def _copied(name: str) -> Path:
    with (
        default_storage.open(name) as stored,
        tempfile.NamedTemporaryFile(prefix="kilinda-", delete=False) as copy,
    ):
        shutil.copyfileobj(stored, copy)
    return Path(copy.name)


@contextmanager
def kept_leases(owner: str) -> Iterator[None]:
    """Renew the owner's leases from a thread until the block ends.

    The thread opens a database connection only when the work outlasts a third of the lease.
    """
    done = Flag()

    def renew() -> None:
        try:
            while not done.wait(settings.KILINDA_LEASE_SECONDS / 3):
                close_old_connections()
                _renew(owner)
        finally:
            connections.close_all()

    thread = Thread(target=renew, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(owner: str) -> None:
    """Extend the leases. A database that is away for a moment is asked again a third later."""
    try:
        queue.renew(owner)
    except (OperationalError, InterfaceError) as error:
        log.warning("leases not renewed", owner=owner, error=str(error))


def healthy_claimer(lane: str, owner: str) -> Claimer:
    """Return how to claim the lane's jobs that never crashed, several at once.

    A full claim means that there is more: it rings for whoever sits idle beside this worker.
    """
    size = settings.KILINDA_CLAIM_SIZE if lane == AnalysisJob.Lane.SCREEN else MEDIA_CLAIM_SIZE

    def claim() -> list[ClaimedJob]:
        jobs = queue.claim(lane=lane, limit=size, owner=owner)
        if len(jobs) == size:
            doorbell.ring(lane)
        return jobs

    return claim


def suspect_claimer(lane: str, owner: str) -> Claimer:
    """Return how to claim one job of a lost worker, and then no other: it runs alone."""
    left = [partial(queue.claim_suspect, lane=lane, owner=owner)]
    return lambda: left.pop()() if left else []


def until(seconds: float, is_stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Return a check that more may be claimed: time is left and nobody asked to stop."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end and not is_stopping()


# --- Writing -------------------------------------------------------------------------------------


@transaction.atomic
def record(
    analysed: Sequence[Analysed[ClaimedJob]], *, policy: Policy, rules: Rules
) -> list[Completed]:
    """Write results, scores, events and what routing makes of them; return the results.

    A job whose lease was lost gets nothing: another worker has it, or already finished it.
    """
    held = queue.finish([each.job for each in analysed])
    mine = [each for each in analysed if each.job.id in held]
    if not mine:
        return []
    fused = [fuse(each.job.content_type, counted(each), rules) for each in mine]
    results = [_completed(each.job, o, policy) for each, o in zip(mine, fused, strict=True)]
    write([_row(*row) for row in zip(mine, fused, results, strict=True)])
    analysis_completed.send(AnalysisJob, results=results)
    transaction.on_commit(lambda: _count(mine, results))
    log.info("jobs judged", job_ids=[str(each.job.id) for each in mine])
    return results


@transaction.atomic
def fail(job: ClaimedJob, *, code: str, reason: str) -> None:
    """End a job that can never succeed, and tell the partner why."""
    log.info("job failed", job_ids=[str(job.id)], code=code)
    if queue.fail(job, code=code, reason=reason):
        append(
            [queue.failure_event(job.organisation_id, job.submission_id, code=code, reason=reason)]
        )


def retry(job: ClaimedJob, *, code: str, reason: str) -> None:
    """Queue a job again after a pause; after its last attempt it fails and the partner is told."""
    if job.attempt >= settings.KILINDA_MAX_ATTEMPTS:
        fail(job, code=code, reason=reason)
    else:
        queue.retry_later(job)


def draw_of(job_id: UUID) -> float:
    """Return the job's place in 0..1 by chance, the same whenever and wherever it is judged."""
    return int.from_bytes(sha256(job_id.bytes).digest()[:6], "big") / 2**48


def counted(each: Analysed[ClaimedJob]) -> list[Judged]:
    """Return the judgements that count: all but those of shadows."""
    return [judged for judged, role in _with_roles(each) if role is not Role.SHADOW]


def _with_roles(each: Analysed[ClaimedJob]) -> Iterator[tuple[Judged, Role]]:
    said = [judged.judgement for judged in each.judged]
    return zip(each.judged, roles(said, each.standings), strict=True)


def _completed(job: ClaimedJob, outcome: Outcome, policy: Policy) -> Completed:
    return Completed(
        result_id=uuid7(),
        job_id=job.id,
        submission_id=job.submission_id,
        organisation_id=job.organisation_id,
        source=job.source,
        priority=job.priority,
        risk_level=outcome.risk_level,
        overall_confidence=outcome.overall_confidence,
        is_unmeasured=outcome.is_unmeasured,
        policy=policy,
    )


def _models(judged: Sequence[Judged]) -> list[str]:
    """Name the models that scored the content, each with its version."""
    scores = [each.judgement for each in judged if isinstance(each.judgement, Score)]
    return sorted({f"{score.detector}@{score.version}" for score in scores})


def _row(each: Analysed[ClaimedJob], outcome: Outcome, result: Completed) -> ResultRow:
    return ResultRow(
        id=str(result.result_id),
        job=str(each.job.id),
        content_type=each.job.content_type.value,
        overall_confidence=outcome.overall_confidence,
        risk_level=outcome.risk_level.value,
        audio_score=outcome.scores[Sense.AUDIO],
        visual_score=outcome.scores[Sense.VISUAL],
        text_score=outcome.scores[Sense.TEXT],
        reliability={sense.value: each for sense, each in outcome.reliability.items()},
        findings=outcome.findings,
        metadata={
            **each.facts,
            "models": _models(counted(each)),
            "policy_version": result.policy.version,
            "reasons": outcome.reasons,
        },
        policy=result.policy.pk,
        scores=[
            _score(judged.sense, judged.judgement, role)
            for judged, role in _with_roles(each)
            if not isinstance(judged.judgement, Observation)
        ],
        event=_event(each.job, outcome),
    )


def _score(sense: Sense, said: Score | Abstention, role: Role) -> ScoreRow:
    row = ScoreRow(
        kind=sense.value,
        detector=said.detector,
        version=said.version,
        role=role.value,
        label=said.label,
        probability=None,
        raw=None,
        reliability={},
        segments=[],
        abstention_code="",
        abstention_reason="",
    )
    if isinstance(said, Abstention):
        row |= {"abstention_code": said.code, "abstention_reason": said.reason}
    else:
        row |= {"probability": said.probability, "raw": said.raw, "reliability": stated(said)}
        row["segments"] = [_segment(segment) for segment in said.segments]
    return row


def _segment(segment: Segment) -> dict[str, float]:
    """Return a segment as it is stored: to the millisecond, and to a hundredth of a percent."""
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "probability": round(segment.probability, 4),
    }


def _event(job: ClaimedJob, outcome: Outcome) -> EventRow:
    return EventRow(
        organisation=str(job.organisation_id),
        type="analysis.completed",
        subject=str(job.submission_id),
        payload={
            "submission_id": str(job.submission_id),
            "risk_level": outcome.risk_level.value,
            "overall_confidence": outcome.overall_confidence,
        },
    )


def _count(analysed: Sequence[Analysed[ClaimedJob]], results: Sequence[Completed]) -> None:
    now = timezone.now()
    for each, result in zip(analysed, results, strict=True):
        metrics.DETECTIONS.labels(result.risk_level.value, each.job.content_type.value).inc()
        metrics.SCREENING_DURATION.observe((now - each.job.created_at).total_seconds())
        if result.overall_confidence is not None:
            metrics.SCREENING_CONFIDENCE.observe(result.overall_confidence)
        if each.job.source == Submission.Source.EVENT:
            metrics.EVENTS_PROCESSED.inc()
