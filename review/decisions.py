"""Decisions: made under a claim, undone within a grace time, final after it.

Nothing leaves the platform before a decision is final, so an undo needs no apology to a partner.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from detection import results
from kilinda.audit import log as audit
from kilinda.partners.models import User
from review import claims, history, transitions
from review.errors import ClaimLost, ItemNotFound, UndoTooLate
from review.models import Decision, ItemChange, ReviewItem, Verdict

Status = ReviewItem.Status

_PAGE = 100


@transaction.atomic
def decide(
    *, item_id: UUID, lease_token: UUID, reviewer: User, verdict: Verdict, note: str = ""
) -> Decision:
    """Decide an item the reviewer holds; if it is not held, change nothing and raise ClaimLost."""
    grace = timedelta(seconds=settings.KILINDA_UNDO_SECONDS)
    decided = claims.held(item_id, lease_token, reviewer).update(
        status=Status.DECIDED,
        expert_decision=verdict,
        expert_notes=note,
        reviewed_at=Now(),
        final_after=Now() + grace,
        lease_token=None,
        lease_until=None,
    )
    if not decided:
        raise ClaimLost
    item = ReviewItem.objects.get(pk=item_id)
    decision = Decision.objects.create(
        item=item,
        reviewer=reviewer,
        verdict=verdict,
        note=note,
        seconds_spent=_seconds_spent(item),
    )
    _record(item, ItemChange.Kind.DECIDED, reviewer, "review.decided", decision)
    return decision


def _seconds_spent(item: ReviewItem) -> float:
    assert item.reviewed_at is not None, "set by the same transaction"
    assert item.claimed_at is not None, "set by the claim"
    return (item.reviewed_at - item.claimed_at).total_seconds()


@transaction.atomic
def undo(*, item_id: UUID, reviewer: User) -> ReviewItem:
    """Take back the reviewer's own decision: the item is theirs again, with a fresh claim.

    Raises ItemNotFound, InvalidTransition or UndoTooLate.
    """
    item = (
        ReviewItem.objects.for_reviewer(reviewer)
        .filter(assigned_to=reviewer)
        .select_for_update()
        .filter(pk=item_id)
        .first()
    )
    if item is None:
        raise ItemNotFound
    decision = _decision_to_undo(item)
    withdrawal = Decision.objects.create(
        item=item,
        reviewer=reviewer,
        verdict=decision.verdict,
        is_withdrawal=True,
        override_of=decision,
    )
    _record(item, ItemChange.Kind.UNDONE, reviewer, "review.undone", withdrawal)
    item.refresh_from_db()
    return item


def _decision_to_undo(item: ReviewItem) -> Decision:
    """Put the locked item back under a claim and return the decision that stood."""
    transitions.check(item.status, Status.CLAIMED)
    undone = ReviewItem.objects.filter(
        pk=item.pk, status=Status.DECIDED, final_after__gt=Now()
    ).update(
        **claims.leased(uuid4()),
        claimed_at=Now(),
        expert_decision="",
        expert_notes="",
        reviewed_at=None,
        final_after=None,
    )
    if not undone:
        raise UndoTooLate
    return standing(item)


def standing(item: ReviewItem) -> Decision:
    """Return the decision in force on a decided item."""
    return item.decisions.filter(is_withdrawal=False, overridden_by=None).latest("created_at", "id")


def finalise_due() -> int:
    """Make every decision final whose grace time has passed; return how many there were."""
    total = 0
    while made := _finalise_page():
        total += made
    return total


@transaction.atomic
def _finalise_page() -> int:
    due = list(
        ReviewItem.objects.filter(status=Status.DECIDED, final_after__lte=Now())
        .select_related("result__job__submission", "assigned_to")
        .order_by("final_after")
        .select_for_update(skip_locked=True, of=("self",))[:_PAGE]
    )
    ReviewItem.objects.filter(pk__in=[item.pk for item in due]).update(status=Status.FINAL)
    for item in due:
        _hand_over(item)
    history.record(ItemChange(item=item, kind=ItemChange.Kind.FINALISED) for item in due)
    audit.record(
        audit.Act(
            "system",
            "review.finalised",
            "review_item",
            str(item.pk),
            {"verdict": item.expert_decision, "reviewer": item.assigned_to_id},
        )
        for item in due
    )
    return len(due)


def _hand_over(item: ReviewItem) -> None:
    """Give the verdict to detection, which the partner asks."""
    assert item.reviewed_at is not None, "a constraint of decided items"
    results.record_verdict(
        result=item.result,
        verdict=item.expert_decision,
        decided_at=item.reviewed_at,
        actor=f"user:{item.assigned_to_id}" if item.assigned_to_id else "system",
    )


def _record(
    item: ReviewItem, kind: ItemChange.Kind, reviewer: User, action: str, decision: Decision
) -> None:
    detail = {"verdict": decision.verdict, "decision": str(decision.pk)}
    history.record([ItemChange(item=item, kind=kind, actor=reviewer, detail=detail)])
    audit.record([audit.Act(f"user:{reviewer.pk}", action, "review_item", str(item.pk), detail)])
