"""The one statement that opens review items, with the first entry of each item's history.

Written by hand for the same reason as detection.writing: the models wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db import connection

from review.models import ItemChange, ReviewItem

_OPEN = """
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS given (
        id uuid, job uuid, result uuid, organisation uuid, reason text,
        sampling_probability float8, priority smallint, severity float8
    )
), item AS (
    INSERT INTO hitl_queue (
        id, job_id, result_id, organisation_id, status, reason, sampling_probability, priority,
        severity, is_escalated, expert_decision, expert_notes
    )
    SELECT id, job, result, organisation, 'open', reason, sampling_probability, priority,
        severity, false, '', ''
    FROM given
)
INSERT INTO review_itemchange (item_id, kind, detail)
SELECT id, 'opened', '{}' FROM given RETURNING id, item_id
"""


def open_together(items: Sequence[ReviewItem]) -> list[ItemChange]:
    """Write new items in the caller's transaction; return the change that opened each."""
    rows = [
        {
            "id": str(item.id),
            "job": str(item.job_id),
            "result": str(item.result_id),
            "organisation": str(item.organisation_id),
            "reason": item.reason,
            "sampling_probability": item.sampling_probability,
            "priority": item.priority,
            "severity": item.severity,
        }
        for item in items
    ]
    by_id = {item.id: item for item in items}
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [json.dumps(rows)])
        return [
            ItemChange(pk=pk, item=by_id[item_id], kind=ItemChange.Kind.OPENED)
            for pk, item_id in cursor.fetchall()
        ]
