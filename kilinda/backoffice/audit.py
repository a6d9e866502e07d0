"""The audit log, read-only, with a check that its chain holds."""

from __future__ import annotations

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action

from kilinda.audit import log
from kilinda.audit.models import AuditEntry
from kilinda.backoffice.pages import Evidence


@admin.register(AuditEntry)
class AuditEntryPage(Evidence):
    """Who did what. Found by the id of what it was done to."""

    list_display = ("at", "actor", "action", "target_type", "target_id", "chain_seq")
    list_filter = (("at", RangeDateTimeFilter), "action")
    ordering = ("-id",)
    found_by = ("target_id",)
    actions_list = ("check_chain",)

    @action(description="Check the chain", icon="link")
    def check_chain(self, request: HttpRequest) -> HttpResponse:
        """Walk the chain and say whether every link holds. Changes nothing."""
        broken = log.verify()
        if broken:
            messages.error(request, f"The chain is broken: {broken.reason}.")
        else:
            messages.success(request, "Every link of the chain holds.")
        return redirect("admin:audit_auditentry_changelist")
