"""How a version on trial compares with the active one on the same content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from detection.fusion import FINDINGS_ONLY
from detection.versions import ModelVersion

NEWEST = 10_000
"""Scores of the trial that are looked at, the newest ones: enough for every figure shown."""
LISTED = 50


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures over the content that both versions saw. Differences are trial minus active."""

    active: ModelVersion
    seen: int
    """Judgements both made."""
    judged: int
    """Of these, the ones where both gave a score; the following figures are about them."""
    mean_difference: float | None
    """Percentage points."""
    mean_distance: float | None
    """Percentage points, without sign."""
    crossing: int
    """Where one score is at or above the threshold and the other below."""
    only_trial: int
    """Where only the version on trial gave a score."""
    only_active: int

    @property
    def signed_difference(self) -> str:
        """Return the mean difference with its sign, such as "+1.5"."""
        return "-" if self.mean_difference is None else f"{self.mean_difference:+.1f}"

    @property
    def crossing_percent(self) -> float | None:
        """Return the share of scores on different sides of the threshold."""
        return 100 * self.crossing / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One piece of content on which the two differ. Scores in percent; None for an abstention."""

    result_id: UUID
    submission_id: UUID
    beginning: str
    trial: float | None
    active: float | None


# Text found in media can be judged more than once in one result: the first by one version is
# compared with the first by the other. The threshold is that of medium risk in the active policy;
# for a label that feeds no score it is the model's own.
_PAIRS = """
WITH newest AS (
    SELECT id, result_id, kind, label, probability FROM detection_detectorscore
    WHERE detector = %(name)s AND version = %(version)s AND role IN ('canary', 'shadow')
    ORDER BY id DESC LIMIT %(newest)s
), trial AS (
    SELECT *, row_number() OVER (PARTITION BY result_id, kind, label ORDER BY id) AS place
    FROM newest
), pair AS (
    SELECT trial.id, trial.result_id, trial.probability AS trial, active.probability AS active,
        coalesce(threshold.medium_from / 100, %(trial_from)s) AS trial_from,
        coalesce(threshold.medium_from / 100, %(active_from)s) AS active_from
    FROM trial
    JOIN LATERAL (
        SELECT probability, row_number() OVER (ORDER BY id) AS place
        FROM detection_detectorscore AS other
        WHERE other.result_id = trial.result_id AND other.kind = trial.kind
            AND other.label = trial.label
            AND other.detector = %(active_name)s AND other.version = %(active_version)s
    ) AS active ON active.place = trial.place
    JOIN analysis_results AS result ON result.id = trial.result_id
    LEFT JOIN detection_policy AS policy ON policy.state = 'active'
    LEFT JOIN detection_threshold AS threshold ON threshold.policy_id = policy.id
        AND threshold.content_type = result.content_type AND threshold.score = trial.kind
        AND trial.label <> ALL (%(findings_only)s)
)
"""
_CROSSES = "(trial >= trial_from) <> (active >= active_from)"
_FIGURES = f"""
{_PAIRS}
SELECT count(*), count(trial + active), 100 * avg(trial - active), 100 * avg(abs(trial - active)),
    count(*) FILTER (WHERE {_CROSSES}),
    count(trial) FILTER (WHERE active IS NULL), count(active) FILTER (WHERE trial IS NULL)
FROM pair
"""  # noqa: S608 - put together from constants
_LIST = f"""
{_PAIRS}
SELECT pair.result_id, submission.id,
    left(coalesce(nullif(submission.text, ''), submission.url), 80), 100 * trial, 100 * active
FROM pair JOIN analysis_results AS result ON result.id = pair.result_id
JOIN analysis_jobs AS job ON job.id = result.job_id
JOIN detection_submission AS submission ON submission.id = job.submission_id
WHERE {_CROSSES} OR (trial IS NULL) <> (active IS NULL)
ORDER BY abs(trial - active) DESC NULLS LAST, pair.id DESC LIMIT %(listed)s
"""  # noqa: S608 - put together from constants


def active_beside(version: ModelVersion) -> ModelVersion | None:
    """Return the active version of the same slot; None where this is it or there is none."""
    beside = ModelVersion.objects.filter(slot=version.slot, state=ModelVersion.State.ACTIVE)
    return beside.exclude(pk=version.pk).first()


def compare(version: ModelVersion) -> Comparison | None:
    """Return the figures, or None where there is no other active version in the slot."""
    active = active_beside(version)
    if active is None:
        return None
    (row,) = _asked(_FIGURES, version, active)
    return Comparison(active, *row)


def disagreements(version: ModelVersion) -> list[Disagreement]:
    """Return the content where the threshold lies between the two, the widest apart first."""
    active = active_beside(version)
    if active is None:
        return []
    return [Disagreement(*row) for row in _asked(_LIST, version, active)]


def _asked(query: str, version: ModelVersion, active: ModelVersion) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            query,
            {
                "name": version.name,
                "version": version.version,
                "trial_from": version.threshold,
                "active_name": active.name,
                "active_version": active.version,
                "active_from": active.threshold,
                "findings_only": list(FINDINGS_ONLY),
                "newest": NEWEST,
                "listed": LISTED,
            },
        )
        return list(cursor.fetchall())
