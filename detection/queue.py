"""The job queue in PostgreSQL: the only writer of a job's state.

Every move is one statement fenced by the lease token, and every time is the database's, so a late
or skewed worker can never overwrite what another did. See docs/adr/002-postgresql-is-the-queue.md.
Times are statement_timestamp(), which is what Django's Now() means too.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from detection.models import AnalysisJob, ContentType, Submission
from kilinda import metrics
from kilinda.audit import log as audit
from kilinda.partners.events import NewEvent, append

State = AnalysisJob.State

_FIRST_RETRY_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 300.0
_SWEEP_PAGE = 500
_QUEUED_TOO_LONG_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """One leased job with what a worker needs to judge it."""

    id: UUID
    lease_token: UUID
    attempt: int
    priority: int
    created_at: datetime
    submission_id: UUID
    organisation_id: UUID
    source: str
    content_type: ContentType
    text: str
    url: str
    language: str
    media_sha256: str | None


_CLAIM = """
WITH picked AS (
    SELECT id, submission_id FROM analysis_jobs
    WHERE state = 'queued' AND lane = %(lane)s AND run_after <= statement_timestamp() AND {which}
    ORDER BY priority, run_after, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE analysis_jobs AS job
SET state = 'running', lease_token = %(token)s, lease_owner = %(owner)s,
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s),
    attempt = job.attempt + 1, started_at = statement_timestamp()
FROM picked JOIN detection_submission AS submission ON submission.id = picked.submission_id
WHERE job.id = picked.id
RETURNING job.id, job.attempt, job.priority, job.created_at,
    submission.id, submission.organisation_id, submission.source, submission.content_type,
    submission.text, submission.url, submission.language, submission.media_id
"""

_HEALTHY = _CLAIM.format(which="crash_count = 0")
_SUSPECT = _CLAIM.format(which="crash_count > 0")


def claim(*, lane: str, limit: int, owner: str) -> list[ClaimedJob]:
    """Lease up to `limit` ready jobs of the lane, most urgent first. None of them ever crashed."""
    return _claim(_HEALTHY, lane, limit, owner)


def claim_suspect(*, lane: str, owner: str) -> list[ClaimedJob]:
    """Lease at most one job whose worker died before; it must be run with no other beside it."""
    return _claim(_SUSPECT, lane, 1, owner)


def _claim(statement: str, lane: str, limit: int, owner: str) -> list[ClaimedJob]:
    token = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "lane": lane,
                "limit": limit,
                "owner": owner,
                "token": token,
                "lease": settings.KILINDA_LEASE_SECONDS,
            },
        )
        return [_claimed(token, row) for row in cursor.fetchall()]


def _claimed(token: UUID, row: tuple[Any, ...]) -> ClaimedJob:
    job_id, attempt, priority, created_at, *content = row
    submission, organisation, source, kind, text, url, language, media = content
    return ClaimedJob(
        id=job_id,
        lease_token=token,
        attempt=attempt,
        priority=priority,
        created_at=created_at,
        submission_id=submission,
        organisation_id=organisation,
        source=source,
        content_type=ContentType(kind),
        text=text,
        url=url,
        language=language,
        media_sha256=media,
    )


def renew(owner: str) -> int:
    """Extend every lease this owner holds; return how many jobs that are."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE analysis_jobs SET lease_until = statement_timestamp() + make_interval(secs => %s)
            WHERE state = 'running' AND lease_owner = %s AND lease_until > statement_timestamp()
            """,
            [settings.KILINDA_LEASE_SECONDS, owner],
        )
        return int(cursor.rowcount)


_LEAVE = """
UPDATE analysis_jobs AS job
SET state = %(state)s, lease_token = NULL, lease_until = NULL, lease_owner = '',
    run_after = statement_timestamp() + make_interval(secs => %(delay)s),
    finished_at = CASE WHEN %(state)s = 'queued' THEN NULL ELSE statement_timestamp() END,
    failure_code = %(code)s, failure_reason = %(reason)s
FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS held(id, token)
WHERE job.id = held.id AND job.lease_token = held.token AND job.state = 'running'
RETURNING job.id
"""


def _leave(
    jobs: Sequence[ClaimedJob],
    state: State,
    *,
    code: str = "",
    reason: str = "",
    delay_seconds: float = 0.0,
) -> set[UUID]:
    """End the leases on the jobs still held under their tokens; return those jobs' ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LEAVE,
            {
                "state": state.value,
                "code": code,
                "reason": reason,
                "delay": delay_seconds,
                "ids": [job.id for job in jobs],
                "tokens": [job.lease_token for job in jobs],
            },
        )
        held = {row[0] for row in cursor.fetchall()}
    if lost := len(jobs) - len(held):
        metrics.LEASE_LOSSES.inc(lost)
    return held


def finish(jobs: Sequence[ClaimedJob]) -> set[UUID]:
    """Mark jobs done; return the ids for which this worker still held the lease.

    Call it in the transaction that writes the results, and write only for the ids returned: that is
    what makes a second result impossible.
    """
    return _leave(jobs, State.DONE)


def fail(job: ClaimedJob, *, code: str, reason: str) -> bool:
    """End a job that can never succeed, with a reason for a person; return whether it was held."""
    return bool(_leave([job], State.FAILED, code=code, reason=reason))


def retry_later(job: ClaimedJob) -> bool:
    """Queue the job again after a growing, jittered pause; return whether it was still held."""
    pause = min(_FIRST_RETRY_SECONDS * 2 ** (job.attempt - 1), _LONGEST_RETRY_SECONDS)
    jittered = pause * (0.5 + random.random())  # noqa: S311 - spreads load, guards nothing
    return bool(_leave([job], State.QUEUED, delay_seconds=jittered))


def move_to_lane(job_id: UUID, lease_token: UUID, lane: str) -> bool:
    """Queue a leased job again in another lane; return whether the lease was still held."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE analysis_jobs
            SET state = 'queued', lane = %s, lease_token = NULL, lease_until = NULL,
                lease_owner = '', attempt = 0, crash_count = 0, run_after = statement_timestamp()
            WHERE id = %s AND lease_token = %s AND state = 'running'
            """,
            [lane, job_id, lease_token],
        )
        return bool(cursor.rowcount == 1)


_SWEEP = """
WITH lost AS (
    SELECT job.id, submission.organisation_id
    FROM analysis_jobs AS job JOIN detection_submission AS submission
        ON submission.id = job.submission_id
    WHERE job.state = 'running' AND job.lease_until < statement_timestamp()
    ORDER BY job.lease_until LIMIT %(page)s FOR UPDATE OF job SKIP LOCKED
)
UPDATE analysis_jobs AS job
SET crash_count = job.crash_count + 1, lease_token = NULL, lease_until = NULL, lease_owner = '',
    run_after = statement_timestamp(), -- behind its batch mates, should it be the one that kills
    state = CASE WHEN job.crash_count + 1 >= %(most)s THEN 'dead' ELSE 'queued' END,
    finished_at = CASE WHEN job.crash_count + 1 >= %(most)s THEN statement_timestamp() END,
    failure_code = CASE WHEN job.crash_count + 1 >= %(most)s THEN 'worker_lost' ELSE '' END,
    failure_reason = CASE WHEN job.crash_count + 1 >= %(most)s THEN %(reason)s ELSE '' END
FROM lost WHERE job.id = lost.id
RETURNING job.state, lost.organisation_id, job.submission_id
"""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: jobs queued again, jobs given up, and lanes whose doorbell must ring."""

    requeued: int
    dead: int
    lanes: frozenset[str]


@transaction.atomic
def sweep() -> Swept:
    """Take back the jobs of lost workers, and name the lanes where work has waited too long.

    The partner of a job that is given up is told.
    """
    most = settings.KILINDA_MAX_CRASHES
    reason = f"The worker died {most} times while it analysed this content."
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, {"page": _SWEEP_PAGE, "most": most, "reason": reason})
        taken_back = cursor.fetchall()
        cursor.execute(
            """
            SELECT DISTINCT lane FROM analysis_jobs
            WHERE state = 'queued' AND run_after <= statement_timestamp()
            AND (crash_count > 0 OR attempt > 0
                 OR run_after < statement_timestamp() - make_interval(secs => %s))
            """,
            [_QUEUED_TOO_LONG_SECONDS],
        )
        lanes = frozenset(row[0] for row in cursor.fetchall())
    dead = [row[1:] for row in taken_back if row[0] == State.DEAD]
    append(
        failure_event(organisation, submission, code="worker_lost", reason=reason)
        for organisation, submission in dead
    )
    metrics.JOBS_DEAD.inc(len(dead))
    metrics.LEASE_LOSSES.inc(len(taken_back))
    return Swept(requeued=len(taken_back) - len(dead), dead=len(dead), lanes=lanes)


def failure_event(
    organisation_id: UUID, submission_id: UUID, *, code: str, reason: str
) -> NewEvent:
    """Return what tells a partner that a submission will have no result, and why."""
    payload = {"submission_id": str(submission_id), "code": code, "reason": reason}
    return NewEvent(organisation_id, "analysis.failed", submission_id, payload)


@transaction.atomic
def revive(job_ids: Collection[UUID], actor: str) -> int:
    """Queue failed or dead jobs again with fresh counters; return how many. `actor` is audited."""
    revived = list(
        AnalysisJob.objects.select_for_update()
        .filter(id__in=job_ids, state__in=[State.FAILED, State.DEAD])
        .select_related("submission")
    )
    for job in revived:
        AnalysisJob.objects.filter(id=job.id).update(
            state=State.QUEUED,
            attempt=0,
            crash_count=0,
            failure_code="",
            failure_reason="",
            finished_at=None,
            run_after=Now(),
        )
    audit.record(
        audit.Act(actor, "job.revived", "job", str(job.id), {"submission": str(job.submission_id)})
        for job in revived
    )
    return len(revived)


def lane_for(submission: Submission) -> AnalysisJob.Lane:
    """Return the cheapest lane that fits the submission's content."""
    if submission.content_type == ContentType.URL:
        return AnalysisJob.Lane.FETCH
    if submission.content_type == ContentType.TEXT:
        return AnalysisJob.Lane.SCREEN
    return AnalysisJob.Lane.MEDIA
