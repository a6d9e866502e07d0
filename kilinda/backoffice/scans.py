"""Posts found on social platforms, read-only."""

from django.contrib import admin

from kilinda.backoffice.pages import Evidence
from scans.models import SocialMediaScan


@admin.register(SocialMediaScan)
class ScanPage(Evidence):
    """What was found where, and whether it was flagged."""

    list_display = ("scanned_at", "platform", "post_id", "flagged", "scan_result")
    list_filter = ("platform", "flagged")
    list_select_related = ("scan_result",)
    found_by = ("id", "submission_id")
