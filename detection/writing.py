"""The one statement that writes judged content: results, detector scores and events, or none.

Written by hand, because the models wait for it: four inserts through the ORM cost as much processor
time as the forward pass itself. Whatever has a default in the database is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django.db import connection


class ScoreRow(TypedDict):
    """One detector's score or refusal; see DetectorScore."""

    kind: str
    detector: str
    version: str
    role: str
    label: str
    probability: float | None
    raw: float | None
    reliability: Mapping[str, Any]
    segments: list[dict[str, float]]
    abstention_code: str
    abstention_reason: str


class EventRow(TypedDict):
    """The event that tells the partner; see Event."""

    organisation: str
    type: str
    subject: str
    payload: dict[str, Any]


class ResultRow(TypedDict):
    """One result with all that is written beside it; see AnalysisResult."""

    id: str
    job: str
    content_type: str
    overall_confidence: float | None
    risk_level: str
    audio_score: float | None
    visual_score: float | None
    text_score: float | None
    reliability: Mapping[str, Any]
    findings: Sequence[Any]
    metadata: dict[str, Any]
    policy: int
    scores: list[ScoreRow]
    event: EventRow


_WRITE = """
WITH judged AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS judged (
        id uuid, job uuid, content_type text, overall_confidence numeric, risk_level text,
        audio_score numeric, visual_score numeric, text_score numeric, reliability jsonb,
        findings jsonb, metadata jsonb, policy bigint, scores jsonb, event jsonb
    )
), result AS (
    INSERT INTO analysis_results (
        id, job_id, content_type, overall_confidence, risk_level, audio_score, visual_score,
        text_score, reliability, findings, metadata, policy_id
    )
    SELECT id, job, content_type, overall_confidence, risk_level, audio_score, visual_score,
        text_score, reliability, findings, metadata, policy
    FROM judged
), score AS (
    INSERT INTO detection_detectorscore (
        result_id, kind, detector, version, role, label, probability, raw, reliability, segments,
        abstention_code, abstention_reason
    )
    SELECT judged.id, row.* FROM judged, jsonb_to_recordset(judged.scores) AS row (
        kind text, detector text, version text, role text, label text, probability float8,
        raw float8, reliability jsonb, segments jsonb, abstention_code text,
        abstention_reason text
    )
)
INSERT INTO partners_event (organisation_id, type, subject_id, payload)
SELECT row.* FROM judged, jsonb_to_record(judged.event) AS row (
    organisation uuid, type text, subject uuid, payload jsonb
)
"""


def write(rows: Sequence[ResultRow]) -> None:
    """Write the rows in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [json.dumps(rows)])
