"""Who gets into the reviewers' pages, and what their browsers may load there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django_htmx.middleware import HtmxDetails

from kilinda.partners.models import User
from review.access import Access, access_of
from review.models import ReviewItem, ReviewItemQuerySet

P = ParamSpec("P")


class ReviewerRequest(HttpRequest):
    """A request of someone who may review."""

    user: User
    access: Access
    htmx: HtmxDetails


Page = Callable[Concatenate[ReviewerRequest, P], HttpResponseBase]


def reviewing(page: Page[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Let only reviewers in: others are asked to sign in, or refused (403)."""

    @login_required
    @wraps(page)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        access = access_of(request.user)
        if access is None:
            raise PermissionDenied
        request.access = access  # type: ignore[attr-defined]
        response = page(request, *args, **kwargs)  # type: ignore[arg-type]
        response.headers.setdefault("Content-Security-Policy", _policy(request))
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponseBase]", guarded)


def _policy(request: HttpRequest) -> str:
    """Everything from this site alone, nothing inline; Safari does not count ws: as 'self'."""
    host = request.get_host()
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"media-src 'self'; connect-src 'self' ws://{host} wss://{host}; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def visible_item(
    request: ReviewerRequest, item_id: UUID, *related: str, of: ReviewItemQuerySet | None = None
) -> ReviewItem:
    """Return the item; a foreign one is as missing (404) as one that never was."""
    items = ReviewItem.objects.all() if of is None else of
    item = items.within(request.access).select_related(*related).filter(pk=item_id).first()
    if item is None:
        raise Http404
    return item
