"""The back office's sidebar, grouped by the work people come to do."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

_GROUPS = {
    "Queue": [
        ("Review items", "checklist", "review", "reviewitem"),
        ("Decisions", "gavel", "review", "decision"),
        ("Jobs", "pending_actions", "detection", "analysisjob"),
    ],
    "Content": [
        ("Submissions", "inbox", "detection", "submission"),
        ("Results", "troubleshoot", "detection", "analysisresult"),
        ("Media", "perm_media", "detection", "media"),
        ("Social media scans", "travel_explore", "scans", "socialmediascan"),
    ],
    "Policy": [("Policy versions", "tune", "detection", "policy")],
    "Models": [("Model versions", "neurology", "detection", "modelversion")],
    "Partners": [
        ("Organisations", "apartment", "partners", "organisation"),
        ("People", "group", "partners", "user"),
        ("API keys", "key", "partners", "apikey"),
        ("Events", "rss_feed", "partners", "event"),
    ],
    "Schedules": [
        ("Periodic tasks", "schedule", "django_celery_beat", "periodictask"),
        ("Intervals", "timelapse", "django_celery_beat", "intervalschedule"),
        ("Crontabs", "calendar_month", "django_celery_beat", "crontabschedule"),
        ("Single dates", "event", "django_celery_beat", "clockedschedule"),
    ],
    "Audit": [("Audit log", "receipt_long", "audit", "auditentry")],
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups with the pages this person may see."""
    groups = [
        {"title": title, "separator": True, "items": _items(request, pages)}
        for title, pages in _GROUPS.items()
    ]
    return [group for group in groups if group["items"]]


def _items(request: HttpRequest, pages: list[tuple[str, str, str, str]]) -> list[dict[str, Any]]:
    return [
        {"title": title, "icon": icon, "link": reverse(f"admin:{app}_{model}_changelist")}
        for title, icon, app, model in pages
        if request.user.has_perm(f"{app}.view_{model}")
    ]
