"""The verdict on a result, as the partner reads it. Review calls this, never the other way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from detection.models import AnalysisResult
from kilinda.audit.log import Act, record
from kilinda.partners.events import NewEvent, append


def review_opened(result_ids: Iterable[UUID]) -> None:
    """Tell partners that a person will look at these results (`review: pending`)."""
    with connection.cursor() as cursor:  # one text whatever the number: the ORM compiles each anew
        cursor.execute(
            "UPDATE analysis_results SET review = %s, updated_at = statement_timestamp() "
            "WHERE id = ANY(%s)",
            [AnalysisResult.Review.PENDING.value, list(result_ids)],
        )


@transaction.atomic
def record_verdict(
    *, result: AnalysisResult, verdict: str, decided_at: datetime, actor: str = "system"
) -> None:
    """Make a verdict final: the partner can read it, and an event `verdict.issued` announces it.

    A later verdict replaces it and names it as `previous`; the same verdict of the same moment
    again changes nothing. `actor` is user:<id> or system, as in the audit log.
    """
    row = (
        AnalysisResult.objects.select_for_update(no_key=True, of=("self",))
        .select_related("job__submission")
        .get(pk=result.pk)
    )
    if (row.verdict, row.verdict_at) == (verdict, decided_at):
        return
    AnalysisResult.objects.filter(pk=row.pk).update(
        verdict=verdict,
        verdict_at=decided_at,
        review=AnalysisResult.Review.DONE,
        updated_at=Now(),
    )
    _announce(row, verdict, actor)


def _announce(row: AnalysisResult, verdict: str, actor: str) -> None:
    submission = row.job.submission
    payload: dict[str, Any] = {"submission_id": str(submission.id), "verdict": verdict}
    if row.verdict:
        payload["previous"] = row.verdict
    append([NewEvent(submission.organisation_id, "verdict.issued", submission.id, payload)])
    record([Act(actor, "verdict.issued", "submission", str(submission.id), payload)])
