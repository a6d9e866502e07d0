"""What people must decide: review items, and the decisions made on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from detection.models import AnalysisJob, AnalysisResult, Priority
from kilinda.ids import uuid7
from kilinda.partners.models import Organisation, User
from review.access import Access, access_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class Verdict(models.TextChoices):
    """What a person finds the content to be."""

    ABUSIVE = "abusive", "Abusive"
    SYNTHETIC = "synthetic", "Synthetic"
    MANIPULATED = "manipulated", "Manipulated"
    MISLEADING = "misleading", "Misleading"
    AUTHENTIC = "authentic", "Authentic / acceptable"
    SATIRE = "satire", "Satire"
    INCONCLUSIVE = "inconclusive", "Inconclusive"
    OUT_OF_SCOPE = "out_of_scope", "Out of scope"
    UNSUPPORTED_LANGUAGE = "unsupported_language", "Unsupported language"


class ReviewItemQuerySet(models.QuerySet["ReviewItem"]):
    """Named filters."""

    def for_reviewer(self, user: AbstractBaseUser | AnonymousUser) -> ReviewItemQuerySet:
        """Only what this user may review; nothing for anyone without a reviewing role."""
        return self.within(access_of(user))

    def within(self, access: Access | None) -> ReviewItemQuerySet:
        """Only what this access reaches."""
        if access is None:
            return self.none()
        return self if access.everywhere else self.filter(organisation__in=access.organisations)


class ReviewItem(models.Model):
    """One analysis that a person must look at. Status moves only through review.transitions."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLAIMED = "claimed", "Claimed"
        ESCALATED = "escalated", "Escalated"
        DECIDED = "decided", "Decided, may be undone"
        FINAL = "final", "Final"
        CLOSED = "closed", "Closed without a decision"
        APPEALED = "appealed", "Appealed"

    class Reason(models.TextChoices):
        RISK = "risk", "Risk level asks for a person"
        NOT_JUDGED = "not_judged", "No detector could judge it"
        UNMEASURED = "unmeasured", "A score cannot be relied on here"
        AUDIT = "audit", "Random check of cleared content"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.OneToOneField(AnalysisJob, on_delete=models.CASCADE, related_name="review_item")
    result = models.OneToOneField(
        AnalysisResult, on_delete=models.CASCADE, related_name="review_item"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="review_items"
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    reason = models.CharField(max_length=12, choices=Reason.choices)
    sampling_probability = models.FloatField(
        null=True, blank=True, help_text="For a random check: the chance it was drawn with, 0 to 1."
    )
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    severity = models.FloatField(
        default=0.0, help_text="Order within a priority; larger is sooner."
    )
    assigned_to = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_column="assigned_to",
        related_name="+",
    )
    is_escalated = models.BooleanField(
        default=False, help_text="Only senior reviewers may claim it, also after a claim ran out."
    )
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    expert_decision = models.CharField(max_length=24, choices=Verdict.choices, blank=True)
    expert_notes = models.TextField(blank=True)
    submitted_at = models.DateTimeField(db_default=Now(), editable=False)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    final_after = models.DateTimeField(
        null=True, blank=True, help_text="End of the time in which the decision may be undone."
    )

    objects = ReviewItemQuerySet.as_manager()

    class Meta:
        db_table = "hitl_queue"
        ordering = ["priority", "-severity", "submitted_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status="claimed",
                    lease_token__isnull=False,
                    lease_until__isnull=False,
                    assigned_to__isnull=False,
                )
                | ~Q(status="claimed") & Q(lease_token__isnull=True, lease_until__isnull=True),
                name="item_claimed_is_leased",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["decided", "final"])
                | (~Q(expert_decision="") & Q(reviewed_at__isnull=False)),
                name="item_decided_has_decision",
            ),
            models.CheckConstraint(
                condition=Q(reason="audit", sampling_probability__gt=0, sampling_probability__lte=1)
                | ~Q(reason="audit") & Q(sampling_probability__isnull=True),
                name="item_audit_keeps_its_chance",
            ),
        ]
        indexes = [
            models.Index(
                fields=["priority", "-severity", "submitted_at"],
                condition=Q(status="open"),
                name="item_claimable",
            ),
            models.Index(
                fields=["priority", "-severity", "submitted_at", "id"],
                condition=Q(status__in=["open", "claimed"]),
                name="item_waiting",
            ),
            models.Index(fields=["lease_until"], condition=Q(status="claimed"), name="item_leases"),
            models.Index(
                fields=["final_after"], condition=Q(status="decided"), name="item_to_finalise"
            ),
            models.Index(fields=["status", "-submitted_at"], name="item_by_status"),
        ]

    def __str__(self) -> str:
        return f"Review item {self.id} ({self.get_status_display()})"


class Decision(models.Model):
    """What one reviewer decided. Never edited: a correction or an undo is a new row."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    item = models.ForeignKey(ReviewItem, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=24, choices=Verdict.choices)
    note = models.TextField(blank=True, help_text="For colleagues; never sent to the partner.")
    is_withdrawal = models.BooleanField(
        default=False, help_text="Undoes the decision it overrides."
    )
    override_of = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="overridden_by"
    )
    seconds_spent = models.FloatField(null=True, blank=True, help_text="From claim to decision.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(is_withdrawal=False) | Q(override_of__isnull=False),
                name="decision_withdrawal_names_what",
            ),
        ]

    def __str__(self) -> str:
        withdrawn = " withdrawn" if self.is_withdrawal else ""
        return f"{self.reviewer}: {self.get_verdict_display()}{withdrawn}"


class ItemChange(models.Model):
    """The queue's change log. By its ids pages notice what they missed."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        CLAIMED = "claimed", "Claimed"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Claim ran out"
        ESCALATED = "escalated", "Escalated"
        DECIDED = "decided", "Decided"
        UNDONE = "undone", "Decision undone"
        FINALISED = "finalised", "Verdict final"

    id = models.BigAutoField(primary_key=True)
    item = models.ForeignKey(ReviewItem, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    actor = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.item_id}"
