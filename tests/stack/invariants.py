"""What must be true of a stack after any fault."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kilinda.audit.log import GENESIS, entry_hash
from kilinda.audit.models import AuditEntry
from tests.stack.harness import Stack, wait_until


def settled(stack: Stack) -> None:
    """Wait for the end of every job, sweeping more often than the schedule does."""

    def ended() -> bool:
        stack.ring("sweep")
        return stack.all_ended()

    wait_until(ended, what="every job has ended", pause_seconds=0.5)


def check(stack: Stack, healthy: Collection[str]) -> None:
    """Fail unless every healthy submission was judged exactly once and all logs are whole."""
    assert healthy, "nothing was submitted, so nothing was tested"
    settled(stack)
    assert states(stack, healthy) == {"done": len(healthy)}
    assert one_result_each(stack) == []
    assert told_once(stack, healthy) == []
    assert gaps(stack) == []
    assert broken_link(stack) is None


def states(stack: Stack, submissions: Collection[str]) -> dict[str, int]:
    """Return how many of the submissions ended in each state."""
    found = stack.rows(
        "SELECT state, count(*) FROM analysis_jobs WHERE submission_id = ANY(%s) GROUP BY state",
        list(submissions),
    )
    return {row["state"]: row["count"] for row in found}


def one_result_each(stack: Stack) -> list[Any]:
    """Return the texts done without exactly one result and score, or with one but not done."""
    return stack.rows(
        "SELECT job.id, job.state, count(DISTINCT result.id), count(score.id)"
        " FROM analysis_jobs job LEFT JOIN analysis_results result ON result.job_id = job.id"
        " LEFT JOIN detection_detectorscore score ON score.result_id = result.id"
        " WHERE lane = 'screen' GROUP BY job.id"
        " HAVING count(DISTINCT result.id) <> (state = 'done')::int"
        " OR count(score.id) <> (state = 'done')::int"
    )


def told_once(stack: Stack, submissions: Collection[str]) -> list[Any]:
    """Return the submissions whose partner was not told exactly once that they are done."""
    return stack.rows(
        "SELECT id FROM detection_submission submission WHERE id = ANY(%s) AND 1 <>"
        " (SELECT count(*) FROM partners_event WHERE subject_id = submission.id"
        "  AND type = 'analysis.completed')",
        list(submissions),
    )


def gaps(stack: Stack) -> list[Any]:
    """Read the partner's whole event log by HTTP; return the places where a number is missing."""
    numbers = [event["seq"] for event in stack.events()]
    assert numbers, "the event log is empty"
    return [(expected, got) for expected, got in enumerate(numbers, start=1) if expected != got]


def broken_link(stack: Stack) -> int | None:
    """Return the number of the first sealed audit entry whose hash does not follow."""
    previous = GENESIS
    rows = stack.rows(
        "SELECT * FROM audit_auditentry WHERE chain_seq IS NOT NULL ORDER BY chain_seq"
    )
    for number, row in enumerate(rows, start=1):
        entry = AuditEntry(**row)
        if (entry.chain_seq, entry.entry_hash) != (number, entry_hash(previous, entry, number)):
            return number
        previous = entry.entry_hash
    return None
