"""Review items and decisions, read-only: people decide on the reviewer's pages, not here.

An administrator may end a claim or escalate, by the same use cases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from kilinda.backoffice.pages import Evidence, EvidenceInline, person
from kilinda.partners.models import User
from review import claims, escalation
from review.errors import ReviewError
from review.models import Decision, ItemChange, ReviewItem

_STATUS_COLOURS = {
    "Open": "info",
    "Claimed": "primary",
    "Escalated": "warning",
    "Decided, may be undone": "success",
    "Final": "success",
    "Appealed": "warning",
}


class DecisionInline(EvidenceInline):
    """Everything that was decided on an item, withdrawals included."""

    model = Decision
    fields = ("created_at", "reviewer", "verdict", "is_withdrawal", "note", "seconds_spent")
    readonly_fields = fields


class ItemChangeInline(EvidenceInline):
    """Everything that happened to an item."""

    model = ItemChange
    fields = ("created_at", "kind", "actor", "detail")
    readonly_fields = fields


@admin.register(ReviewItem)
class ReviewItemPage(Evidence):
    """What waits for a person, and what became of it."""

    list_display = (
        "submitted_at",
        "standing",
        "priority",
        "reason",
        "organisation",
        "assigned_to",
        "expert_decision",
        "reviewed_at",
    )
    list_filter = ("status", "reason", "priority", "organisation")
    list_select_related = ("organisation", "assigned_to")
    ordering = ("-submitted_at",)
    found_by = ("id", "job_id", "job__submission_id")
    inlines = (DecisionInline, ItemChangeInline)
    actions = ("end_claim", "escalate")

    @display(description="Status", label=_STATUS_COLOURS, ordering="status")
    def standing(self, item: ReviewItem) -> str:
        return item.get_status_display()

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Nobody edits an item, but who may change the table may end a claim or escalate."""
        return person(request).has_perm("review.change_reviewitem")

    def acts_for(self, request: HttpRequest, row: ReviewItem) -> tuple[str, ...]:
        fitting = {
            ReviewItem.Status.CLAIMED: ("end_claim", "escalate"),
            ReviewItem.Status.OPEN: ("escalate",),
        }
        return fitting.get(ReviewItem.Status(row.status), ())

    @admin.action(description="End the claim", permissions=["act"])
    def end_claim(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> None:
        """Take the chosen items from who holds them, back to the queue."""

        def end(item: ReviewItem, administrator: User) -> object:
            return claims.end_claim(item_id=item.pk, administrator=administrator)

        self._each(request, queryset, end, "back in the queue")

    @admin.action(description="Escalate", permissions=["act"])
    def escalate(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> None:
        """Give the chosen items to the senior reviewers."""

        def give(item: ReviewItem, administrator: User) -> object:
            return escalation.escalate_as_administrator(
                item_id=item.pk, administrator=administrator, note="Escalated in the back office."
            )

        self._each(request, queryset, give, "escalated")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[ReviewItem],
        act: Callable[[ReviewItem, User], Any],
        done: str,
    ) -> None:
        """Do the act on each item by itself, and say how it went."""
        count = 0
        for item in queryset:
            try:
                act(item, person(request))
                count += 1
            except ReviewError as error:
                self.message_user(request, f"{item.pk}: {error}", messages.ERROR)
        if count:
            self.message_user(request, f"Items {done}: {count}.", messages.SUCCESS)


@admin.register(Decision)
class DecisionPage(Evidence):
    """Who decided what, when. Found by review item."""

    list_display = ("created_at", "reviewer", "verdict", "is_withdrawal", "item", "seconds_spent")
    list_filter = ("verdict", "is_withdrawal", ("created_at", RangeDateTimeFilter))
    list_select_related = ("reviewer", "item")
    ordering = ("-id",)
    found_by = ("id", "item_id")
