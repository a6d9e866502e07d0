"""Escalation: a reviewer hands an item to the senior reviewers, saying why."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from kilinda.audit import log as audit
from kilinda.partners.models import User
from review import claims, history, transitions
from review.errors import ClaimLost
from review.models import ItemChange, ReviewItem

Status = ReviewItem.Status


@transaction.atomic
def escalate(*, item_id: UUID, lease_token: UUID, reviewer: User, note: str) -> ReviewItem:
    """Escalate an item the reviewer holds; raise ClaimLost if it is not held any more."""
    item = claims.held(item_id, lease_token, reviewer).select_for_update().first()
    if item is None:
        raise ClaimLost
    return _move(item, reviewer, note)


@transaction.atomic
def escalate_as_administrator(*, item_id: UUID, administrator: User, note: str) -> ReviewItem:
    """Escalate an open or claimed item, whoever holds it. Raises InvalidTransition."""
    return _move(ReviewItem.objects.select_for_update().get(pk=item_id), administrator, note)


def _move(item: ReviewItem, actor: User, note: str) -> ReviewItem:
    transitions.check(item.status, Status.ESCALATED)
    ReviewItem.objects.filter(pk=item.pk).update(
        status=Status.ESCALATED,
        is_escalated=True,
        assigned_to=None,
        lease_token=None,
        lease_until=None,
    )
    item.refresh_from_db()
    detail = {"note": note}
    history.record(
        [ItemChange(item=item, kind=ItemChange.Kind.ESCALATED, actor=actor, detail=detail)]
    )
    audit.record(
        [audit.Act(f"user:{actor.pk}", "review.escalated", "review_item", str(item.pk), detail)]
    )
    return item
