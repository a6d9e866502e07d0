"""Who uses the platform: organisations, members and their roles, API keys, and the event log."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kilinda.ids import uuid7


class User(AbstractUser):
    """A person, or the platform itself (`is_machine`), so that "who" is always a user."""

    is_machine = models.BooleanField(
        default=False, help_text="Acts for the platform itself and can never sign in."
    )


class Organisation(models.Model):
    """A partner: it submits content, owns what it submitted, and reads the verdicts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200, unique=True)
    slug = models.SlugField(max_length=80, unique=True)
    is_active = models.BooleanField(default=True)
    is_operator = models.BooleanField(
        default=False, help_text="Its reviewers work on the items of every organisation."
    )
    last_event_seq = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do. Each role includes nothing of the others."""

    PARTNER = "partner", "Partner"
    REVIEWER = "reviewer", "Reviewer"
    SENIOR_REVIEWER = "senior_reviewer", "Senior reviewer"
    ADMINISTRATOR = "administrator", "Administrator"


REVIEWING_ROLES = (Role.REVIEWER, Role.SENIOR_REVIEWER, Role.ADMINISTRATOR)


class Member(models.Model):
    """A person's role in an organisation."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="members")
    role = models.CharField(max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "organisation"], name="member_once_per_org"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()}, {self.organisation})"


class APIKey(models.Model):
    """A partner's credential. Only the hash of the secret is kept; it is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=100, help_text="Where the key is used.")
    prefix = models.CharField(
        max_length=16, editable=False, help_text="Start of the key, to tell keys apart."
    )
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    is_read_only = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class Event(models.Model):
    """One entry of an organisation's event log.

    Written without `seq` by the transaction it reports, so that writers never wait for each other;
    `kilinda.partners.events.sequence` numbers committed entries without gaps before anyone reads.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField(null=True, editable=False)
    type = models.CharField(max_length=40)
    subject_id = models.UUIDField(help_text="The submission it is about.")
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "seq"], name="event_seq_unique"),
            models.CheckConstraint(
                condition=Q(seq__isnull=True) | Q(seq__gt=0), name="event_seq_positive"
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "id"],
                condition=Q(seq__isnull=True),
                name="event_unsequenced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.seq or '-'}"
