"""Policy versions: drafts are edited, active and retired ones are read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import TabularInline
from unfold.decorators import display

from detection import policies
from detection.errors import DetectionError
from detection.models import Policy, Threshold
from kilinda.backoffice.pages import Page, person


def _is_draft(policy: Policy | None) -> bool:
    return policy is not None and policy.state == Policy.State.DRAFT


if TYPE_CHECKING:
    _ThresholdForm = forms.ModelForm[Threshold]
else:  # Django's class takes a type only in its stubs
    _ThresholdForm = forms.ModelForm


class ThresholdForm(_ThresholdForm):
    """Says which level is out of order, which the database's constraint cannot."""

    class Meta:
        model = Threshold
        fields = ("content_type", "score", "medium_from", "high_from", "critical_from")

    def clean(self) -> dict[str, Any]:
        levels = super().clean() or self.cleaned_data
        bounds = ["medium_from", "high_from", "critical_from"]
        for lower, upper in pairwise(bounds):
            if lower in levels and upper in levels and levels[upper] < levels[lower]:
                self.add_error(upper, f"Must be at least {levels[lower]}, the level below it.")
        for bound in bounds:
            if bound in levels and not 0 <= levels[bound] <= 100:
                self.add_error(bound, "Must be a percentage from 0 to 100.")
        return levels


class ThresholdInline(TabularInline):
    """The thresholds of one version, which follow its state."""

    model = Threshold
    form = ThresholdForm
    extra = 0
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and bool(super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and bool(super().has_delete_permission(request, obj))


@admin.register(Policy)
class PolicyPage(Page):
    """A change is a new version: copy one, edit the draft, activate it."""

    list_display = (
        "version",
        "standing",
        "note",
        "review_from",
        "audit_rate_percent",
        "activated_at",
    )
    list_filter = ("state",)
    fields = (
        ("version", "state"),
        "note",
        ("review_from", "audit_rate_percent"),
        "review_when_not_judged",
        "review_when_unmeasured",
        ("created_by", "created_at", "activated_at"),
    )
    readonly_fields = ("version", "state", "created_by", "created_at", "activated_at")
    inlines = (ThresholdInline,)
    actions = ("activate", "copy_as_draft")

    @display(
        description="State",
        label={"Active": "success", "Draft": "warning", "Retired": "info"},
        ordering="state",
    )
    def standing(self, policy: Policy) -> str:
        return policy.get_state_display()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or _is_draft(obj)) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_draft(obj) and bool(super().has_delete_permission(request, obj))

    def acts_for(self, request: HttpRequest, row: Policy) -> tuple[str, ...]:
        is_active = row.state == Policy.State.ACTIVE
        return ("copy_as_draft",) if is_active else ("activate", "copy_as_draft")

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Policy]) -> None:
        """Make the one chosen version the active one."""
        if (policy := self._only(request, queryset)) is None:
            return
        try:
            chosen = policies.activate(policy=policy, actor=person(request))
        except DetectionError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"Version {chosen.version} is active now.")

    @admin.action(description="Copy as a new draft", permissions=["change"])
    def copy_as_draft(
        self, request: HttpRequest, queryset: QuerySet[Policy]
    ) -> HttpResponse | None:
        """Copy the one chosen version and open the draft."""
        if (policy := self._only(request, queryset)) is None:
            return None
        draft = policies.draft_from(policy=policy, actor=person(request))
        self.message_user(
            request, f"Version {draft.version} is a draft: edit it, then activate it."
        )
        return redirect("admin:detection_policy_change", draft.pk)

    def _only(self, request: HttpRequest, queryset: QuerySet[Policy]) -> Policy | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one version.", messages.ERROR)
            return None
        return chosen[0]
