"""The queue page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from review import claims, history, selectors
from review.forms import QueueFilters
from review.models import ReviewItem
from review.selectors import Tab
from review.views.entrance import ReviewerRequest, reviewing


@require_safe
@reviewing
def queue(request: ReviewerRequest) -> HttpResponse:
    """Show one page of a tab; to htmx only the list, which is how the page stays fresh."""
    form = _filters(request)
    # Read before the rows: a change in between makes the page ask once too often, never too rarely.
    seq = history.latest_seq(request.access)
    tab = Tab(form.cleaned_data["tab"] or Tab.WAITING)
    items = selectors.in_tab(tab, request.access, request.user)
    shown = selectors.page(selectors.filtered(items, form.cleaned_data), tab, _start(request, form))
    context = {"form": form, "seq": seq, "tab": tab, "page": shown, "tabs": _tabs(request, tab)}
    context |= _links(form.cleaned_data, tab, shown.after)
    template = "review/_list.html" if request.htmx else "review/queue.html"
    return render(request, template, context)


def _filters(request: ReviewerRequest) -> QueueFilters:
    form = QueueFilters(request.GET)
    if not form.is_valid():
        raise BadRequest(f"{next(iter(form.errors))}: {next(iter(form.errors.values()))[0]}")
    return form


def _start(request: ReviewerRequest, form: QueueFilters) -> ReviewItem | None:
    """Return the item the page begins behind; one that is gone or foreign means the beginning."""
    after = form.cleaned_data["after"]
    if not after:
        return None
    return ReviewItem.objects.within(request.access).filter(pk=after).first()


def _tabs(request: ReviewerRequest, current: Tab) -> list[dict[str, Any]]:
    counted = selectors.counts(request.access, request.user)
    return [
        {
            "tab": tab,
            "count": count,
            "is_more": count == selectors.MOST_COUNTED,
            "is_current": tab is current,
        }
        for tab, count in counted.items()
    ]


def _links(filters: dict[str, Any], tab: Tab, after: UUID | None) -> dict[str, str]:
    kept = {
        name: value for name, value in filters.items() if value and name not in ("after", "tab")
    }
    here = {"tab": tab.value} | kept
    return {
        "filter_query": urlencode(kept),
        "first_query": urlencode(here),
        "next_query": urlencode(here | {"after": str(after)}) if after else "",
    }


@require_POST
@reviewing
def claim_next(request: ReviewerRequest) -> HttpResponse:
    """Claim the next item, within the filters of the page it was asked from, and open it."""
    form = _filters(request)
    wanted = selectors.filtered(ReviewItem.objects.all(), form.cleaned_data)
    item = claims.claim_next(reviewer=request.user, among=wanted)
    if item is not None:
        return redirect("review:item", item.pk)
    messages.info(request, _("Nothing is waiting to be claimed. Well done."))
    return redirect("review:queue")
