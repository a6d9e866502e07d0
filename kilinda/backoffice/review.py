"""Review items and decisions, read-only: people decide on the reviewer's pages, not here."""

from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from kilinda.backoffice.pages import Evidence, EvidenceInline
from review.models import Decision, ReviewItem

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
    inlines = (DecisionInline,)

    @display(description="Status", label=_STATUS_COLOURS, ordering="status")
    def standing(self, item: ReviewItem) -> str:
        return item.get_status_display()


@admin.register(Decision)
class DecisionPage(Evidence):
    """Who decided what, when. Found by review item."""

    list_display = ("created_at", "reviewer", "verdict", "is_withdrawal", "item", "seconds_spent")
    list_filter = ("verdict", "is_withdrawal", ("created_at", RangeDateTimeFilter))
    list_select_related = ("reviewer", "item")
    ordering = ("-id",)
    found_by = ("id", "item_id")
