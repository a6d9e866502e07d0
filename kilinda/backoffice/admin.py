"""Registers every page of the back office with Django's admin."""

from django.contrib import admin

from kilinda.backoffice import (
    audit,
    content,
    model_versions,
    partners,
    policies,
    review,
    scans,
    schedules,
)

__all__ = [
    "audit",
    "content",
    "model_versions",
    "partners",
    "policies",
    "review",
    "scans",
    "schedules",
]

admin.site.index_title = "Overview"
