"""Reading the queue: the tabs a reviewer can look at, their pages and how much each holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, Q, TextChoices
from django.db.models.functions import Left
from django.utils.translation import gettext_lazy as _

from kilinda.partners.models import User
from review.access import Access
from review.models import ReviewItem, ReviewItemQuerySet

Status = ReviewItem.Status

PAGE_SIZE = 40
MOST_COUNTED = 1_000
"""Counting stops here, so that a tab of a million items costs no more than one of a thousand."""
PREVIEW_CHARACTERS = 240


class Tab(TextChoices):
    """The parts of the queue."""

    WAITING = "waiting", _("To review")
    MINE = "mine", _("Mine")
    ESCALATED = "escalated", _("Escalated")
    DECIDED = "decided", _("Decided")


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in order. `after` is where the next page begins, None on the last one."""

    items: list[ReviewItem]
    after: UUID | None


def tabs_of(access: Access) -> list[Tab]:
    """Return the tabs this reviewer sees."""
    return [tab for tab in Tab if tab is not Tab.ESCALATED or access.is_senior]


def in_tab(tab: Tab, access: Access, reviewer: User) -> ReviewItemQuerySet:
    """Return what a tab holds, in no order."""
    items = ReviewItem.objects.within(access)
    match tab:
        case Tab.WAITING:
            return items.filter(status__in=[Status.OPEN, Status.CLAIMED])
        case Tab.MINE:
            return items.filter(status__in=[Status.CLAIMED, Status.DECIDED], assigned_to=reviewer)
        case Tab.ESCALATED:
            return items.filter(status=Status.ESCALATED)
        case Tab.DECIDED:
            return items.filter(status__in=[Status.DECIDED, Status.FINAL])


def counts(access: Access, reviewer: User) -> dict[Tab, int]:
    """Return how many items each tab holds, MOST_COUNTED at most."""
    return {tab: in_tab(tab, access, reviewer)[:MOST_COUNTED].count() for tab in tabs_of(access)}


def filtered(items: ReviewItemQuerySet, filters: Mapping[str, str]) -> ReviewItemQuerySet:
    """Keep what has the given modality, risk level and language; an empty filter keeps all."""
    wanted = {
        "result__content_type": filters.get("modality"),
        "result__risk_level": filters.get("risk"),
        "job__submission__language__iexact": filters.get("language"),
    }
    return items.filter(**{field: value for field, value in wanted.items() if value})


def page(items: ReviewItemQuerySet, tab: Tab, after: ReviewItem | None) -> Page:
    """Return the items behind `after`: the next to review first, or the last decided first."""
    if tab is Tab.DECIDED:
        ordered = _behind_decided(items, after).order_by("-reviewed_at", "-id")
    else:
        ordered = _behind_waiting(items, after).order_by(
            "priority", "-severity", "submitted_at", "id"
        )
    rows = list(_with_rows(ordered)[: PAGE_SIZE + 1])
    more = len(rows) > PAGE_SIZE
    return Page(rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].pk if more else None)


def _with_rows(items: ReviewItemQuerySet) -> Any:
    """Fetch what a row shows in one query, and of a long text only its beginning."""
    return (
        items.select_related("result", "organisation", "assigned_to", "job__submission__media")
        .defer("job__submission__text", "job__submission__metadata", "result__metadata")
        .annotate(
            beginning=Left("job__submission__text", PREVIEW_CHARACTERS),
            language=F("job__submission__language"),
        )
    )


def _behind_waiting(items: ReviewItemQuerySet, after: ReviewItem | None) -> ReviewItemQuerySet:
    if after is None:
        return items
    return items.filter(priority__gte=after.priority).filter(
        Q(priority__gt=after.priority)
        | Q(severity__lt=after.severity)
        | Q(severity=after.severity, submitted_at__gt=after.submitted_at)
        | Q(severity=after.severity, submitted_at=after.submitted_at, id__gt=after.pk)
    )


def _behind_decided(items: ReviewItemQuerySet, after: ReviewItem | None) -> ReviewItemQuerySet:
    if after is None or after.reviewed_at is None:  # undone meanwhile: begin anew
        return items
    return items.filter(
        Q(reviewed_at__lt=after.reviewed_at) | Q(reviewed_at=after.reviewed_at, id__lt=after.pk)
    )
