"""Claiming and finishing empty work, beside the same two statements in a tight psycopg loop."""

from __future__ import annotations

import os
import time
from uuid import uuid4

import psycopg
from django.db import connection

from detection import queue
from detection.models import Priority, Submission
from kilinda.partners.models import Organisation
from tests.bench.report import Line, beside_floor

JOBS = 500


def measure() -> list[Line]:
    """Return claim_finish_ratio."""
    organisation, _ = Organisation.objects.get_or_create(name="Bench", slug="bench")
    return [
        beside_floor(
            "claim_finish_ratio",
            "jobs/s",
            lambda: _product(organisation),
            lambda: _floor(organisation),
            goal=">= 0.5",
        )
    ]


_FILL = """
WITH submission AS (
    INSERT INTO detection_submission (
        id, organisation_id, source, content_type, text, url, language, metadata, fetched,
        request_hash
    )
    SELECT uuidv7(), %s, 'api', 'text', text, '', '', '{}', '{}', '' FROM unnest(%s::text[]) AS text
    RETURNING id
)
INSERT INTO analysis_jobs (
    id, submission_id, lane, state, priority, attempt, crash_count, lease_owner, failure_code,
    failure_reason
)
SELECT uuidv7(), id, %s, 'queued', %s, 0, 0, '', '', '' FROM submission
"""


def fill(organisation: Organisation, texts: list[str], lane: str = "screen") -> None:
    """Queue a text job for each text, at little cost to the lane that runs beside."""
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [organisation.pk, texts, lane, Priority.NORMAL])


def empty() -> None:
    """Forget all jobs."""
    Submission.objects.all().delete()


def _product(organisation: Organisation) -> float:
    fill(organisation, ["x"] * JOBS)
    began = time.perf_counter()
    for _ in range(JOBS):
        queue.finish(queue.claim(lane="screen", limit=1, owner="bench"))
    spent = time.perf_counter() - began
    empty()
    return JOBS / spent


def _floor(organisation: Organisation) -> float:
    fill(organisation, ["x"] * JOBS)
    claim = {"lane": "screen", "limit": 1, "owner": "bench", "lease": 60}
    leave = {"state": "done", "code": "", "reason": "", "delay": 0.0}
    with psycopg.connect(
        os.environ["DATABASE_URL"], autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as database:
        began = time.perf_counter()
        for _ in range(JOBS):
            token = uuid4()
            job = database.execute(queue._HEALTHY, {**claim, "token": token}).fetchall()[0][0]
            database.execute(queue._LEAVE, {**leave, "ids": [job], "tokens": [token]}).fetchall()
        spent = time.perf_counter() - began
    empty()
    return JOBS / spent
