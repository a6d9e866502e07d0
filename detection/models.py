"""Content on its way to a verdict: submissions, media, jobs, results, scores and policies."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from detection.versions import ModelVersion, Rollout
from kilinda.ids import uuid7
from kilinda.partners.models import APIKey, Organisation, User

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AnalysisJob",
    "AnalysisResult",
    "ContentType",
    "DetectorScore",
    "Media",
    "ModelVersion",
    "Policy",
    "Priority",
    "RiskLevel",
    "Rollout",
    "ScoreKind",
    "Submission",
    "SubmissionQuerySet",
    "Threshold",
]

PERCENT: dict[str, Any] = {"max_digits": 5, "decimal_places": 2}
"""Scores and confidences are percentages with two decimals, 0.00-100.00, as partners read them."""


class ContentType(models.TextChoices):
    """What was submitted. A URL becomes one of the others once it was fetched."""

    TEXT = "text", "Text"
    AUDIO = "audio", "Audio"
    IMAGE = "image", "Image"
    VIDEO = "video", "Video"
    URL = "url", "URL"


class RiskLevel(models.TextChoices):
    """What policy makes of the scores, in rising order."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class Priority(models.IntegerChoices):
    """Which job goes first; smaller is sooner."""

    URGENT = 0, "Urgent"
    HIGH = 1, "High"
    NORMAL = 2, "Normal"
    LOW = 3, "Low"


class Media(models.Model):
    """Stored bytes, once for each sha256. The bytes lie in the default storage under that hash."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.PositiveBigIntegerField()
    mime = models.CharField(max_length=100)
    modality = models.CharField(max_length=10, choices=ContentType.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "media"
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="media_sha256_is_hex"
            ),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="media_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.mime} {self.sha256[:12]}"

    @property
    def storage_name(self) -> str:
        """Where the bytes lie in the storage; two levels keep folders small."""
        return f"media/{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}"


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Named filters."""

    def for_partner(self, organisation: Organisation) -> SubmissionQuerySet:
        """Only what this organisation submitted."""
        return self.filter(organisation=organisation)


class Submission(models.Model):
    """What a partner handed in, word for word, and where it came from."""

    class Source(models.TextChoices):
        API = "api", "API"
        EVENT = "event", "Chat event"
        SCAN = "scan", "Social scan"
        DASHBOARD = "dashboard", "Dashboard"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="submissions"
    )
    api_key = models.ForeignKey(
        APIKey, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    submitted_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.API)
    content_type = models.CharField(max_length=10, choices=ContentType.choices)
    text = models.TextField(blank=True)
    url = models.URLField(max_length=2048, blank=True)
    media = models.ForeignKey(Media, on_delete=models.PROTECT, null=True, blank=True)
    language = models.CharField(
        max_length=35, blank=True, help_text="BCP 47 hint of the submitter."
    )
    metadata = models.JSONField(default=dict, blank=True)
    fetched = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="What came from a URL: final address, redirects, title.",
    )
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - NULLs are distinct in the unique constraint
    request_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"], name="submission_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(content_type="text", media__isnull=True)
                | Q(content_type="url") & ~Q(url="")
                | Q(content_type__in=["audio", "image", "video"], media__isnull=False),
                name="submission_has_its_content",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-id"], name="submission_newest")]

    def __str__(self) -> str:
        return f"{self.get_content_type_display()} {self.id}"


class AnalysisJob(models.Model):
    """The promise of a verdict for one submission. Only `detection.queue` writes its state."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        DEAD = "dead", "Dead"

    class Lane(models.TextChoices):
        FETCH = "fetch", "Fetch"
        SCREEN = "screen", "Screen"
        MEDIA = "media", "Media"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    submission = models.OneToOneField(Submission, on_delete=models.CASCADE, related_name="job")
    lane = models.CharField(max_length=10, choices=Lane.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    run_after = models.DateTimeField(db_default=Now())
    attempt = models.PositiveSmallIntegerField(default=0)
    crash_count = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_owner = models.CharField(max_length=120, blank=True, editable=False)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "analysis_jobs"
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | ~Q(state="running") & Q(lease_token__isnull=True, lease_until__isnull=True),
                name="job_running_is_leased",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["failed", "dead"]) | ~Q(failure_code=""),
                name="job_failure_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "priority", "run_after", "id"],
                condition=Q(state="queued"),
                name="job_ready",
            ),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="job_leases"),
            models.Index(
                fields=["state"], condition=Q(state__in=["failed", "dead"]), name="job_broken"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lane} job {self.id} ({self.state})"


class Policy(models.Model):
    """One version of the rules that turn scores into a risk level and ask for a person.

    A version that was ever active never changes; a change is a new version.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    version = models.PositiveIntegerField(unique=True, editable=False)
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.DRAFT, editable=False
    )
    note = models.CharField(max_length=300, help_text="What changed in this version, and why.")
    review_from = models.CharField(
        max_length=10,
        choices=RiskLevel.choices,
        default=RiskLevel.MEDIUM,
        help_text="A person looks at everything of this risk level or above.",
    )
    review_when_not_judged = models.BooleanField(
        default=True, help_text="A person looks when no detector could judge the content."
    )
    review_when_unmeasured = models.BooleanField(
        default=True,
        db_default=True,
        help_text="A person looks when a score was not measured for this language or condition, "
        "or was measured no better than guessing.",
    )
    audit_rate_percent = models.DecimalField(
        **PERCENT,
        default=Decimal("2.00"),
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="Share of cleared content that a person checks at random.",
    )
    created_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "policies"
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="active"), name="policy_one_active"
            ),
            models.CheckConstraint(
                condition=Q(audit_rate_percent__range=(0, 100)), name="policy_audit_rate_is_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"Policy version {self.version} ({self.get_state_display().lower()})"


class ScoreKind(models.TextChoices):
    """Which of the three scores of a result a detector feeds."""

    TEXT = "text", "Text"
    AUDIO = "audio", "Audio"
    VISUAL = "visual", "Visual"


class Threshold(models.Model):
    """From which score (percent) one kind of score of one content type means which risk level."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="thresholds")
    content_type = models.CharField(
        max_length=10, choices=[choice for choice in ContentType.choices if choice[0] != "url"]
    )
    score = models.CharField(max_length=10, choices=ScoreKind.choices)
    medium_from = models.DecimalField(**PERCENT)
    high_from = models.DecimalField(**PERCENT)
    critical_from = models.DecimalField(**PERCENT)

    class Meta:
        ordering = ["content_type", "score"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "content_type", "score"], name="threshold_once_per_score"
            ),
            models.CheckConstraint(
                condition=Q(medium_from__gte=0)
                & Q(high_from__gte=F("medium_from"))
                & Q(critical_from__gte=F("high_from"))
                & Q(critical_from__lte=100),
                name="threshold_levels_rise",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.content_type}/{self.score}"


def _is_percent(fields: Iterable[str]) -> Q:
    condition = Q()
    for field in fields:
        condition &= Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__range": (0, 100)})
    return condition


class AnalysisResult(models.Model):
    """What the machines made of one job, and the verdict people came to (`detection.results`)."""

    class Review(models.TextChoices):
        NONE = "none", "No person was asked"
        PENDING = "pending", "A person will look at it"
        DONE = "done", "The verdict is final"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.OneToOneField(AnalysisJob, on_delete=models.CASCADE, related_name="result")
    content_type = models.CharField(max_length=10, choices=ContentType.choices)
    overall_confidence = models.DecimalField(**PERCENT, null=True)
    risk_level = models.CharField(max_length=10, choices=RiskLevel.choices)
    audio_score = models.DecimalField(**PERCENT, null=True)
    visual_score = models.DecimalField(**PERCENT, null=True)
    text_score = models.DecimalField(**PERCENT, null=True)
    reliability = models.JSONField(
        default=dict,
        db_default={},
        help_text="How reliable each score was measured to be: grade, groups and figures.",
    )
    findings = models.JSONField(
        default=list, help_text="What was found, each with code, severity and message."
    )
    metadata = models.JSONField(
        default=dict, help_text="Duration, size, models used and why the risk level."
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT)
    review = models.CharField(
        max_length=10, choices=Review.choices, default=Review.NONE, db_default=Review.NONE
    )
    verdict = models.CharField(
        max_length=24,
        blank=True,
        db_default="",
        help_text="The final verdict; empty until there is one.",
    )
    verdict_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "analysis_results"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=_is_percent(
                    ["overall_confidence", "audio_score", "visual_score", "text_score"]
                ),
                name="result_scores_are_percent",
            ),
            models.CheckConstraint(
                condition=Q(verdict="", verdict_at__isnull=True)
                | ~Q(verdict="") & Q(verdict_at__isnull=False),
                name="result_verdict_is_dated",
            ),
        ]
        indexes = [models.Index(fields=["risk_level", "-id"], name="result_by_risk")]

    def __str__(self) -> str:
        return f"{self.risk_level} ({self.overall_confidence} %)"


class CountedScores(models.Manager["DetectorScore"]):
    """Leaves out what shadows said: nobody but a comparison of models may take it for a score."""

    def get_queryset(self) -> models.QuerySet[DetectorScore]:
        return super().get_queryset().exclude(role=DetectorScore.Role.SHADOW)


class DetectorScore(models.Model):
    """One detector's judgement in full: what it said, or why it could not say."""

    class Role(models.TextChoices):
        ACTIVE = "active", "Active"
        CANARY = "canary", "Canary"
        SHADOW = "shadow", "Shadow"

    result = models.ForeignKey(AnalysisResult, on_delete=models.CASCADE, related_name="scores")
    kind = models.CharField(max_length=10, choices=ScoreKind.choices)
    detector = models.CharField(max_length=100)
    version = models.CharField(max_length=40)
    role = models.CharField(
        max_length=10,
        choices=Role.choices,
        default=Role.ACTIVE,
        db_default=Role.ACTIVE,
        help_text="What the model was then. A shadow's score has no effect.",
    )
    label = models.CharField(max_length=40)
    probability = models.FloatField(
        null=True, help_text="Calibrated, 0 to 1; empty when not judged."
    )
    raw = models.FloatField(null=True, help_text="The model's logit before calibration.")
    reliability = models.JSONField(
        default=dict,
        db_default={},
        help_text="How reliable the score was measured to be; empty when not judged.",
    )
    segments = models.JSONField(default=list)
    evidence = models.JSONField(
        default=dict, db_default={}, help_text="What the score rests on, found when somebody looks."
    )
    abstention_code = models.CharField(max_length=40, blank=True)
    abstention_reason = models.TextField(blank=True)

    objects = CountedScores()
    everything = models.Manager["DetectorScore"]()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["detector", "version", "-id"],
                condition=Q(role__in=["canary", "shadow"]),
                name="score_on_trial",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    probability__isnull=False, probability__range=(0, 1), abstention_code=""
                )
                | Q(probability__isnull=True) & ~Q(abstention_code=""),
                name="score_is_given_or_refused",
            ),
        ]

    def __str__(self) -> str:
        said = self.abstention_code if self.probability is None else f"{self.probability:.4f}"
        return f"{self.detector} {self.version}: {said}"
