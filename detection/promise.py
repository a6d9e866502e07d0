"""The one statement that makes a promise: submission, media, job, event and audit entry, or none.

Written by hand, because every 202 waits for it: five inserts through the ORM in a transaction of
their own take three times as long. Whatever has a default in the database is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TypedDict

from django.db import connection, transaction

from detection.models import AnalysisJob, Media, Submission
from kilinda.audit.log import Act
from kilinda.partners.events import NewEvent


class Promise(TypedDict):
    """The rows of one submission before they are written."""

    submission: Submission
    job: AnalysisJob
    media: Media | None
    event: NewEvent
    act: Act


_WRITE = """
WITH promise AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS promise (
        submission jsonb, job jsonb, media jsonb, event jsonb, act jsonb
    )
), media AS (
    INSERT INTO detection_media (sha256, size_bytes, mime, modality)
    SELECT DISTINCT ON (row.sha256) row.sha256, row.size_bytes, row.mime, row.modality
    FROM promise, jsonb_to_record(promise.media) AS row (
        sha256 text, size_bytes bigint, mime text, modality text
    )
    WHERE row.sha256 IS NOT NULL
    ON CONFLICT DO NOTHING
), submission AS (
    INSERT INTO detection_submission (
        id, organisation_id, api_key_id, submitted_by_id, source, content_type, text, url,
        media_id, language, metadata, fetched, idempotency_key, request_hash
    )
    SELECT row.* FROM promise, jsonb_to_record(promise.submission) AS row (
        id uuid, organisation uuid, api_key uuid, submitted_by bigint, source text,
        content_type text, text text, url text, media text, language text, metadata jsonb,
        fetched jsonb, idempotency_key text, request_hash text
    )
), job AS (
    INSERT INTO analysis_jobs (
        id, submission_id, lane, state, priority, attempt, crash_count, lease_owner,
        failure_code, failure_reason
    )
    SELECT row.*, 0, 0, '', '', '' FROM promise, jsonb_to_record(promise.job) AS row (
        id uuid, submission uuid, lane text, state text, priority smallint
    )
), event AS (
    INSERT INTO partners_event (organisation_id, type, subject_id, payload)
    SELECT row.* FROM promise, jsonb_to_record(promise.event) AS row (
        organisation uuid, type text, subject uuid, payload jsonb
    )
)
INSERT INTO audit_auditentry (actor, action, target_type, target_id, detail, entry_hash)
SELECT row.*, '' FROM promise, jsonb_to_record(promise.act) AS row (
    actor text, action text, target_type text, target_id text, detail jsonb
)
"""


def write(promises: Sequence[Promise]) -> None:
    """Write all rows or none. Raises IntegrityError for an idempotency key that is taken."""
    rows = json.dumps([_row(promise) for promise in promises], default=str)
    # A statement is its own transaction; only inside the caller's does it need a savepoint.
    guard = transaction.atomic() if connection.in_atomic_block else nullcontext()
    with guard, connection.cursor() as cursor:
        cursor.execute(_WRITE, [rows])


def _row(promise: Promise) -> dict[str, object]:
    submission, job, media = promise["submission"], promise["job"], promise["media"]
    event, act = promise["event"], promise["act"]
    return {
        "submission": {
            "id": submission.id,
            "organisation": submission.organisation_id,
            "api_key": submission.api_key_id,
            "submitted_by": submission.submitted_by_id,
            "source": submission.source,
            "content_type": submission.content_type,
            "text": submission.text,
            "url": submission.url,
            "media": submission.media_id,
            "language": submission.language,
            "metadata": submission.metadata,
            "fetched": submission.fetched,
            "idempotency_key": submission.idempotency_key,
            "request_hash": submission.request_hash,
        },
        "job": {
            "id": job.id,
            "submission": submission.id,
            "lane": job.lane,
            "state": job.state,
            "priority": job.priority,
        },
        "media": media
        and {
            "sha256": media.sha256,
            "size_bytes": media.size_bytes,
            "mime": media.mime,
            "modality": media.modality,
        },
        "event": {
            "organisation": event.organisation_id,
            "type": event.type,
            "subject": event.subject_id,
            "payload": event.payload,
        },
        "act": {
            "actor": act.actor,
            "action": act.action,
            "target_type": act.target_type,
            "target_id": act.target_id,
            "detail": act.detail,
        },
    }
