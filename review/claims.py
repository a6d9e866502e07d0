"""Claims: a reviewer's lease on an item, on the database's clock, fenced by a token.

Whoever holds the token may decide; when the lease ends the item goes back, and the token is void.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When
from django.db.models.functions import Now

from kilinda.audit import log as audit
from kilinda.partners.models import User
from review import history, transitions
from review.access import Access, access_of
from review.errors import (
    ClaimLost,
    ItemAlreadyClaimed,
    ItemNotFound,
    SeniorReviewerNeeded,
)
from review.models import ItemChange, ReviewItem, ReviewItemQuerySet

Status = ReviewItem.Status

_PAGE = 500


@transaction.atomic
def claim_next(*, reviewer: User, among: ReviewItemQuerySet | None = None) -> ReviewItem | None:
    """Claim the open item that goes first, of all or of those `among`; None when none is left.

    One statement: rows that others are claiming at this moment are skipped, not waited for.
    """
    wanted = ReviewItem.objects.all() if among is None else among
    first = (
        wanted.within(access_of(reviewer))
        .filter(status=Status.OPEN)
        .order_by("priority", "-severity", "submitted_at")
        .select_for_update(skip_locked=True, of=("self",))
    )
    return _take(ReviewItem.objects.filter(pk=first.values("pk")[:1]), reviewer)


@transaction.atomic
def claim(*, item_id: UUID, reviewer: User) -> ReviewItem:
    """Claim this item; a claim the reviewer holds already is renewed and returned.

    Raises ItemNotFound, ItemAlreadyClaimed, SeniorReviewerNeeded or InvalidTransition.
    """
    access = access_of(reviewer)
    item = ReviewItem.objects.within(access).select_for_update().filter(pk=item_id).first()
    if item is None or access is None:
        raise ItemNotFound
    if item.status == Status.CLAIMED:
        return _renewed(item, reviewer)
    _check_claimable(item, access)
    taken = _take(ReviewItem.objects.filter(pk=item_id), reviewer)
    assert taken is not None, "the row is locked and its status was checked"
    return taken


def _renewed(item: ReviewItem, reviewer: User) -> ReviewItem:
    if item.assigned_to_id != reviewer.pk or item.lease_token is None:
        raise ItemAlreadyClaimed
    return renew(item_id=item.pk, lease_token=item.lease_token, reviewer=reviewer)


def _check_claimable(item: ReviewItem, access: Access) -> None:
    transitions.check(item.status, Status.CLAIMED)
    if item.status == Status.DECIDED:
        transitions.check(Status.FINAL, Status.CLAIMED)  # only undo reopens a decision
    if item.is_escalated and not access.is_senior_for(item.organisation_id):
        raise SeniorReviewerNeeded


def _take(items: QuerySet[ReviewItem], reviewer: User) -> ReviewItem | None:
    token = uuid4()
    taken = items.update(**leased(token), assigned_to=reviewer, claimed_at=Now())
    if not taken:
        return None
    item = ReviewItem.objects.get(lease_token=token)
    history.record([ItemChange(item=item, kind=ItemChange.Kind.CLAIMED, actor=reviewer)])
    return item


def leased(token: UUID) -> dict[str, Any]:
    """Return the column values of a fresh claim."""
    lease = timedelta(minutes=settings.KILINDA_CLAIM_MINUTES)
    return {"status": Status.CLAIMED, "lease_token": token, "lease_until": Now() + lease}


def held(item_id: UUID, lease_token: UUID, reviewer: User) -> ReviewItemQuerySet:
    """Return the item as a query that is empty once the claim is lost."""
    return ReviewItem.objects.filter(
        pk=item_id, lease_token=lease_token, assigned_to=reviewer, status=Status.CLAIMED
    )


@transaction.atomic
def renew(*, item_id: UUID, lease_token: UUID, reviewer: User) -> ReviewItem:
    """Start the lease anew; raise ClaimLost if it is somebody else's by now, or nobody's."""
    if not held(item_id, lease_token, reviewer).update(**leased(lease_token)):
        raise ClaimLost
    return ReviewItem.objects.get(pk=item_id)


@transaction.atomic
def release(*, item_id: UUID, lease_token: UUID, reviewer: User) -> ReviewItem:
    """Give the item back to the queue; raise ClaimLost if it is not held any more."""
    if not held(item_id, lease_token, reviewer).update(**_returned()):
        raise ClaimLost
    item = ReviewItem.objects.get(pk=item_id)
    history.record([ItemChange(item=item, kind=ItemChange.Kind.RELEASED, actor=reviewer)])
    return item


@transaction.atomic
def end_claim(*, item_id: UUID, administrator: User) -> ReviewItem:
    """Take an item from the reviewer who holds it, back to the queue. Raises InvalidTransition."""
    item = ReviewItem.objects.select_for_update().get(pk=item_id)
    transitions.check(item.status, Status.OPEN)
    holder = item.assigned_to_id
    ReviewItem.objects.filter(pk=item_id).update(**_returned())
    item.refresh_from_db()
    change = ItemChange(item=item, kind=ItemChange.Kind.RELEASED, actor=administrator)
    history.record([change])
    actor = f"user:{administrator.pk}"
    audit.record(
        [audit.Act(actor, "review.claim_ended", "review_item", str(item_id), {"holder": holder})]
    )
    return item


@transaction.atomic
def expire() -> int:
    """Return items whose lease has ended to the queue; return how many there were."""
    ended = list(
        ReviewItem.objects.filter(status=Status.CLAIMED, lease_until__lt=Now())
        .order_by("lease_until")
        .select_for_update(skip_locked=True)[:_PAGE]
    )
    ReviewItem.objects.filter(pk__in=[item.pk for item in ended]).update(**_returned())
    history.record(
        ItemChange(item=item, kind=ItemChange.Kind.EXPIRED, actor_id=item.assigned_to_id)
        for item in ended
    )
    return len(ended)


def _returned() -> dict[str, Any]:
    """Return the column values of an item that goes back to where it was claimed from."""
    back = Case(When(is_escalated=True, then=Value(Status.ESCALATED)), default=Value(Status.OPEN))
    return {"status": back, "assigned_to": None, "lease_token": None, "lease_until": None}
