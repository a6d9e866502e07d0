"""The one upward wire: detection tells review and scans that analyses were finished.

`analysis_completed` is sent by scoring inside its transaction, once for a batch, with
`results: Sequence[Completed]`. A receiver makes a single call; when it raises, the batch is not
written and will be analysed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.dispatch import Signal

from detection.models import Policy, RiskLevel

analysis_completed = Signal()


@dataclass(frozen=True, slots=True)
class Completed:
    """A result that was just written. A plain value: thousands a second pass through here."""

    result_id: UUID
    job_id: UUID
    submission_id: UUID
    organisation_id: UUID
    source: str
    """Submission.Source of the submission."""
    priority: int
    risk_level: RiskLevel
    overall_confidence: float | None
    """Percent; None when nothing could be judged."""
    is_unmeasured: bool
    """Whether a score was not measured for content like this, or no better than guessing."""
    policy: Policy
    """The version that made the risk level."""
