"""Keyset pages: a signed cursor names the last row seen, so pages stay right while rows arrive."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.core import signing
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError

from detection.models import AnalysisJob, Submission

MAX_PAGE_SIZE = 200
_SALT = "detection.submissions"

_STATES = {"failed": [AnalysisJob.State.FAILED, AnalysisJob.State.DEAD]}
_LOOKUPS = {
    "risk_level": "job__result__risk_level",
    "content_type": "content_type",
    "created_after": "created_at__gt",
    "created_before": "created_at__lt",
}


@dataclass(frozen=True, slots=True)
class SubmissionPage:
    """Submissions, newest first, and the cursor of the next page if there is one."""

    items: list[Submission]
    next_cursor: str | None


def page(
    submissions: QuerySet[Submission], filters: dict[str, object], *, cursor: str, page_size: int
) -> SubmissionPage:
    """Return the page after the cursor. Raises ValidationError for a cursor we did not sign."""
    size = min(page_size, MAX_PAGE_SIZE)
    rows = submissions.filter(**{_LOOKUPS[name]: value for name, value in filters.items()})
    if cursor:
        rows = rows.filter(id__lt=_opened(cursor))
    found = list(rows.order_by("-id")[: size + 1])
    more = len(found) > size
    return SubmissionPage(found[:size], _cursor(found[size - 1].id) if more else None)


def states(status: str) -> list[str]:
    """Return the job states a partner's status stands for."""
    return [*_STATES.get(status, [status])]


def _cursor(last: UUID) -> str:
    return signing.dumps(last.hex, salt=_SALT)


def _opened(cursor: str) -> UUID:
    try:
        return UUID(signing.loads(cursor, salt=_SALT))
    except signing.BadSignature as error:
        raise ValidationError(
            {"cursor": ["This is no cursor of ours."]}, "invalid_cursor"
        ) from error
