"""The back office's first page: what waits, what broke, and which policy judges."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from detection.models import AnalysisJob, Policy
from review.models import ReviewItem

_BROKEN = (AnalysisJob.State.FAILED, AnalysisJob.State.DEAD)


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the cards this person may see. Each count is served by a partial index."""
    cards = [_queued(), _broken(), _open_items(), _active_policy()]
    seen = [card for card in cards if request.user.has_perm(card["permission"])]
    return context | {"cards": seen}


def _queued() -> dict[str, Any]:
    return _card(
        "analysisjob",
        "Jobs queued",
        AnalysisJob.objects.filter(state=AnalysisJob.State.QUEUED).count(),
        "waiting for a worker",
        "?state__exact=queued",
    )


def _broken() -> dict[str, Any]:
    count = AnalysisJob.objects.filter(state__in=_BROKEN).count()
    note = "look at the reasons, run again" if count else "nothing to do"
    card = _card("analysisjob", "Jobs failed or dead", count, note, "?state__in=failed,dead")
    return card | {"needs_attention": bool(count)}


def _open_items() -> dict[str, Any]:
    count = ReviewItem.objects.filter(status=ReviewItem.Status.OPEN).count()
    return _card("reviewitem", "Review items open", count, "nobody has claimed them", app="review")


def _active_policy() -> dict[str, Any]:
    policy = Policy.objects.get(state=Policy.State.ACTIVE)
    return _card("policy", "Policy in force", f"Version {policy.version}", policy.note)


def _card(
    model: str, title: str, value: object, note: str, query: str = "", *, app: str = "detection"
) -> dict[str, Any]:
    return {
        "permission": f"{app}.view_{model}",
        "title": title,
        "value": value,
        "note": note,
        "link": reverse(f"admin:{app}_{model}_changelist") + query,
    }
