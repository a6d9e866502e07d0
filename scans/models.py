"""Posts found on social platforms, and what their analysis said."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from detection.models import AnalysisResult, Submission
from kilinda.ids import uuid7


class SocialMediaScan(models.Model):
    """One post that was scanned. The crawl engine that fills it comes with a later part."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    platform = models.CharField(max_length=20)
    post_id = models.CharField(max_length=512, help_text="The platform's own stable id.")
    content_url = models.URLField(max_length=2048, blank=True)
    submission = models.OneToOneField(
        Submission, on_delete=models.PROTECT, null=True, blank=True, related_name="scan"
    )
    scan_result = models.ForeignKey(
        AnalysisResult, on_delete=models.SET_NULL, null=True, blank=True, db_column="scan_result"
    )
    flagged = models.BooleanField(default=False)
    scanned_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "social_media_scans"
        verbose_name = "social media scan"
        ordering = ["-scanned_at"]
        constraints = [
            models.UniqueConstraint(fields=["platform", "post_id"], name="scan_once_per_post"),
            models.CheckConstraint(
                condition=Q(flagged=False) | Q(scan_result__isnull=False),
                name="scan_flag_has_a_result",
            ),
        ]
        indexes = [models.Index(fields=["platform", "-scanned_at"], name="scan_by_platform")]

    def __str__(self) -> str:
        return f"{self.platform} {self.post_id}"
