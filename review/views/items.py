"""The page of one item, and what a reviewer can do there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from detection.evidence import ask_for
from detection.models import ScoreKind
from kilinda.partners.models import User
from review import claims, decisions, escalation, evidence, found_text, history, provenance
from review.errors import ClaimLost, ItemNotFound, ReviewError
from review.explanations import explanation_of
from review.forms import ClaimForm, DecisionForm, EscalationForm
from review.models import ReviewItem, Verdict
from review.views.entrance import ReviewerRequest, reviewing, visible_item

Status = ReviewItem.Status

MOST_CHARACTERS = 100_000
"""How much of a text the page shows; all of it can be downloaded."""


@require_safe
@reviewing
def item(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Show everything about an item."""
    return _show(request, item_id, template="review/item.html")


@require_safe
@reviewing
def panel(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Show what can be done with an item now. The page says which claim it believes to hold."""
    form = ClaimForm(request.GET)
    believed = form.cleaned_data["lease_token"] if form.is_valid() else None
    return _show(request, item_id, template="review/_panel.html", believed=believed)


@require_POST
@reviewing
def claim(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Claim this item."""
    try:
        claims.claim(item_id=item_id, reviewer=request.user)
    except ItemNotFound:
        visible_item(request, item_id)
    except ReviewError as error:
        return _show(request, item_id, status=409, problem=_(str(error)))
    return _done(request, item_id)


@require_POST
@reviewing
def renew(request: ReviewerRequest, item_id: UUID) -> JsonResponse:
    """Keep the claim alive while the page is in use; 409 when it is lost."""
    visible_item(request, item_id)
    form = ClaimForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    try:
        renewed = claims.renew(
            item_id=item_id, lease_token=form.cleaned_data["lease_token"], reviewer=request.user
        )
    except ClaimLost as error:
        return JsonResponse({"detail": str(error)}, status=409)
    return JsonResponse({"seconds": _seconds_until(renewed.lease_until)})


@require_POST
@reviewing
def release(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Give the item back and return to the queue."""
    visible_item(request, item_id)
    form = ClaimForm(request.POST)
    if not form.is_valid():
        return _refused(request, item_id, form)
    try:
        claims.release(item_id=item_id, reviewer=request.user, **form.cleaned_data)
    except ClaimLost:
        return _lost(request, item_id)
    messages.success(request, _("The item is back in the queue."))
    return _to_queue(request)


@require_POST
@reviewing
def decide(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Decide. When the claim is lost nothing is decided, and the draft comes back."""
    visible_item(request, item_id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _refused(request, item_id, form)
    given = form.cleaned_data | {"verdict": Verdict(form.cleaned_data["verdict"])}
    try:
        decisions.decide(item_id=item_id, reviewer=request.user, **given)
    except ClaimLost:
        return _lost(request, item_id)
    return _done(request, item_id)


@require_POST
@reviewing
def undo(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Take back one's own decision; its verdict and note are the new draft."""
    before = visible_item(request, item_id)
    draft = {"verdict": before.expert_decision, "note": before.expert_notes}
    try:
        decisions.undo(item_id=item_id, reviewer=request.user)
    except ReviewError as error:
        return _show(request, item_id, status=409, problem=_(str(error)))
    return _show(request, item_id, draft=draft)


@require_POST
@reviewing
def escalate(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    """Hand the item to the senior reviewers."""
    visible_item(request, item_id)
    form = EscalationForm(request.POST)
    if not form.is_valid():
        return _refused(request, item_id, form)
    try:
        escalation.escalate(item_id=item_id, reviewer=request.user, **form.cleaned_data)
    except ClaimLost:
        return _lost(request, item_id)
    return _done(request, item_id)


def _done(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    if request.htmx:
        return _show(request, item_id)
    return redirect("review:item", item_id)


def _to_queue(request: ReviewerRequest) -> HttpResponse:
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("review:queue")})
    return redirect("review:queue")


def _lost(request: ReviewerRequest, item_id: UUID) -> HttpResponse:
    return _show(request, item_id, status=409, is_lost=True, draft=_draft(request))


def _refused(request: ReviewerRequest, item_id: UUID, form: ClaimForm) -> HttpResponse:
    if "lease_token" in form.errors:
        return _lost(request, item_id)
    problem = " ".join(str(error) for errors in form.errors.values() for error in errors)
    return _show(request, item_id, status=422, problem=problem, draft=_draft(request))


def _draft(request: ReviewerRequest) -> dict[str, str]:
    return {
        "verdict": request.POST.get("verdict", ""),
        "note": request.POST.get("note", "").replace("\0", ""),
    }


def _show(
    request: ReviewerRequest,
    item_id: UUID,
    *,
    template: str = "",
    status: int = 200,
    believed: UUID | None = None,
    is_lost: bool = False,
    **extra: Any,
) -> HttpResponse:
    """Render the panel for htmx, the whole page otherwise."""
    template = template or ("review/_panel.html" if request.htmx else "review/item.html")
    seq = history.latest_seq(request.access)
    item = visible_item(
        request, item_id, "result__policy", "job__submission__media", "assigned_to", "organisation"
    )
    context = {"item": item, "seq": seq, **_standing(request, item), **extra}
    context["is_lost"] = is_lost or (
        believed is not None and believed != item.lease_token and not context["is_my_decision"]
    )
    if template == "review/item.html":
        context |= _everything(item)
    return render(request, template, context, status=status)


def _standing(request: ReviewerRequest, item: ReviewItem) -> dict[str, Any]:
    """Return how the item stands to this reviewer."""
    is_mine = item.assigned_to_id == request.user.pk
    seconds_to_undo = _seconds_until(item.final_after) if item.status == Status.DECIDED else 0
    return {
        "is_my_claim": is_mine and item.status == Status.CLAIMED,
        "is_my_decision": is_mine and item.status in (Status.DECIDED, Status.FINAL),
        "may_claim": _may_claim(request, item),
        "lease_seconds": _seconds_until(item.lease_until),
        "undo_seconds": seconds_to_undo if is_mine else 0,
        "verdicts": Verdict,
        "escalation": item.changes.filter(kind="escalated").select_related("actor").last(),
        "timeline": _timeline(item),
    }


def _may_claim(request: ReviewerRequest, item: ReviewItem) -> bool:
    if item.status == Status.OPEN:
        return True
    return item.status == Status.ESCALATED and request.access.is_senior_for(item.organisation_id)


def _seconds_until(moment: Any) -> int:
    return max(0, int((moment - timezone.now()).total_seconds())) if moment else 0


def _timeline(item: ReviewItem) -> list[dict[str, Any]]:
    notes = {str(decision.pk): decision.note for decision in item.decisions.all()}
    return [
        {
            "change": change,
            "who": _name(change.actor),
            "verdict": Verdict(change.detail["verdict"]).label
            if "verdict" in change.detail
            else "",
            "note": change.detail.get("note") or notes.get(change.detail.get("decision", ""), ""),
        }
        for change in item.changes.select_related("actor")
    ]


def _name(person: User | None) -> str:
    return (person.get_full_name() or person.username) if person else ""


def _everything(item: ReviewItem) -> dict[str, Any]:
    """Return what the page shows beside the panel; have explained what is not yet."""
    found = evidence.gather(item.result)
    for each in found.opinions:
        ask_for(each.score)
    return {
        "submission": item.job.submission,
        "evidence": found,
        "explanations": {each.score.pk: explanation_of(each.score) for each in found.opinions},
        **text_pieces(item, found),
        "sounds": found.suspicious(ScoreKind.AUDIO),
        "frames": found.parts(ScoreKind.VISUAL),
        "facts": evidence.facts(item.result.metadata),
        "origin": evidence.facts(item.job.submission.metadata),
        "reasons": item.result.metadata.get("reasons", []),
        "credential": provenance.credential(item.result),
        "found_texts": found_text.found_texts(item.result, found),
        "boxes": found_text.boxes(item.result.metadata),
    }


def text_pieces(item: ReviewItem, found: evidence.Evidence) -> dict[str, Any]:
    """Return the text as it can be coloured now."""
    whole = item.job.submission.text
    shown = whole[:MOST_CHARACTERS]
    explained = found.explained()
    return {
        "pieces": evidence.pieces(shown, found.parts(ScoreKind.TEXT), explained),
        "is_explained": explained is not None,
        "characters": len(whole),
        "is_cut": len(shown) < len(whole),
    }
