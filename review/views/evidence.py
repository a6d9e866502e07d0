"""The evidence of one score: its place on the page, its drawings, its data."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from detection import evidence, evidence_files
from detection.evidence import State
from detection.models import ContentType, DetectorScore
from review.evidence import gather
from review.explanations import explanation_of
from review.forms import WaitingForm
from review.models import ReviewItem
from review.views.entrance import ReviewerRequest, reviewing, visible_item
from review.views.items import text_pieces

_SANDBOX = "sandbox; default-src 'none'"


@require_safe
@reviewing
def panel(request: ReviewerRequest, item_id: UUID, score_id: int) -> HttpResponse:
    """Answer a page that waits for evidence, each time with the number of its next question."""
    item, score = _visible_score(request, item_id, score_id)
    form = WaitingForm(request.GET)
    if not form.is_valid():
        raise BadRequest(f"attempt: {form.errors['attempt'][0]}")
    return _panel(request, item, score, form.cleaned_data["attempt"])


@require_POST
@reviewing
def again(request: ReviewerRequest, item_id: UUID, score_id: int) -> HttpResponse:
    """Have it computed once more, after a failure or when no worker has taken it."""
    item, score = _visible_score(request, item_id, score_id)
    evidence.try_again(score)
    if not request.htmx:
        return redirect("review:item", item_id)
    return _panel(request, item, score, 0)


@require_safe
@reviewing
def drawing(request: ReviewerRequest, item_id: str, score_id: str, name: str) -> HttpResponse:
    """Return one drawing as PNG."""
    _, score = _visible_score(request, UUID(item_id), int(score_id))
    for kept in score.evidence.get("drawings", ()):
        if kept["name"] == name:
            return _png(score, kept)
    raise Http404


@require_safe
@reviewing
def record(request: ReviewerRequest, item_id: UUID, score_id: int) -> JsonResponse:
    """Return score and evidence as a JSON file, with the hash of the content and each drawing."""
    _, score = _visible_score(request, item_id, score_id)
    if evidence.state_of(score) is not State.READY:
        raise Http404
    return _attached(JsonResponse(_record(score), json_dumps_params={"indent": 1}), score)


def _visible_score(
    request: ReviewerRequest, item_id: UUID, score_id: int
) -> tuple[ReviewItem, DetectorScore]:
    item = visible_item(request, item_id, "result__policy", "job__submission")
    scores = DetectorScore.objects.select_related("result__job__submission")
    return item, get_object_or_404(scores, pk=score_id, result=item.result)


def _panel(
    request: ReviewerRequest, item: ReviewItem, score: DetectorScore, attempt: int
) -> HttpResponse:
    context: dict[str, Any] = {"item": item, "explanation": explanation_of(score, attempt)}
    is_ready = evidence.state_of(score) is State.READY
    if is_ready and item.result.content_type == ContentType.TEXT:
        context |= {"is_update": True, **text_pieces(item, gather(item.result))}
    return render(request, "review/_evidence.html", context)


def _png(score: DetectorScore, kept: evidence_files.Kept) -> HttpResponse:
    try:
        content = evidence_files.read(kept)
    except FileNotFoundError as error:
        raise Http404 from error
    response = HttpResponse(content, content_type="image/png")
    name = f"evidence-{score.pk}-{kept['name']}.png"
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _SANDBOX
    response["Cache-Control"] = "private, max-age=28800"
    return response


def _record(score: DetectorScore) -> dict[str, Any]:
    kept = score.evidence
    return {
        "detector": score.detector,
        "version": score.version,
        "label": score.label,
        "probability": score.probability,
        "log_odds": score.raw,
        "segments": score.segments,
        "content_sha256": kept["content_sha256"],
        "method": kept["method"],
        "computed_at": kept["computed_at"],
        "facts": kept["facts"],
        "drawings": [
            {key: drawing[key] for key in ("name", "title", "sha256", "size_bytes", "alt")}
            for drawing in kept["drawings"]
        ],
    }


def _attached(response: JsonResponse, score: DetectorScore) -> JsonResponse:
    response["Content-Disposition"] = f'attachment; filename="evidence-{score.pk}.json"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
