"""The versions of models this platform knows, and what each of them may do.

Only `detection.rollout` moves a version. Its files lie on the shelf of each machine, by `digest`.
"""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kilinda.partners.models import User


class Rollout(models.Model):
    """One row. Every move locks it and raises its number, so that moves come one after another and
    a worker sees by one number that something changed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    generation = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="rollout_is_one_row")]

    def __str__(self) -> str:
        return f"Generation {self.generation}"


class ModelVersion(models.Model):
    """One version of a model: what its kilinda.json claims, where its files come from, its state.

    Versions of one slot are alternatives, of which one is active and at most one a canary. The
    slot is the model's name, unless the operator lets the model compete with another one.
    """

    class State(models.TextChoices):
        CANDIDATE = "candidate", "Candidate"
        SHADOW = "shadow", "Shadow"
        CANARY = "canary", "Canary"
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    IN_USE = (State.SHADOW, State.CANARY, State.ACTIVE)

    name = models.CharField(max_length=100, editable=False)
    version = models.CharField(max_length=40, editable=False)
    slot = models.CharField(
        max_length=100,
        editable=False,
        help_text="Versions of one slot are alternatives: one of them is active.",
    )
    task = models.CharField(max_length=40, editable=False)
    modality = models.CharField(max_length=10, editable=False)
    detector = models.CharField(max_length=40, editable=False)
    threshold = models.FloatField(
        editable=False, help_text="From which probability the model itself calls its label true."
    )
    metrics = models.JSONField(default=dict, blank=True, editable=False)
    source = models.CharField(max_length=1000, editable=False)
    digest = models.CharField(
        max_length=64,
        editable=False,
        help_text="sha256 of kilinda.json, which holds the sha256 of every other file.",
    )
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.CANDIDATE, editable=False
    )
    share_percent = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        editable=False,
        validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="Of the content, what a canary judges.",
    )
    succeeded = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="successors",
        help_text="What was active before this version; what rolling back returns to.",
    )
    registered_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    registered_at = models.DateTimeField(db_default=Now(), editable=False)
    moved_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    moved_at = models.DateTimeField(db_default=Now(), editable=False)
    loaded_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a worker last loaded it."
    )
    load_error = models.TextField(
        blank=True, editable=False, help_text="Why a worker could not load it."
    )

    class Meta:
        ordering = ["slot", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_version_once"),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(state="active"), name="model_one_active_in_a_slot"
            ),
            models.UniqueConstraint(
                fields=["slot"], condition=Q(state="canary"), name="model_one_canary_in_a_slot"
            ),
            models.CheckConstraint(
                condition=Q(
                    state="canary", share_percent__isnull=False, share_percent__range=(1, 99)
                )
                | ~Q(state="canary") & Q(share_percent__isnull=True),
                name="model_share_is_a_canarys",
            ),
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="model_digest_is_hex"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["candidate", "shadow", "canary", "active", "retired"]),
                name="model_state_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def stands_as(self) -> str:
        """Return the state as it is said in a sentence: a shadow, active."""
        noun = self.state in {self.State.CANDIDATE, self.State.SHADOW, self.State.CANARY}
        return f"a {self.state}" if noun else str(self.state)
