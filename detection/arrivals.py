"""What was fetched for a URL submission becomes that submission's content."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from detection import doorbell, intake, queue
from detection.errors import DetectionError, FetchFailed, FetchRefused, StorageUnavailable
from detection.fetching import Fetched, is_page
from detection.models import AnalysisJob, ContentType, Media, Submission
from detection.pages import Page, read_page


def attach_fetched(job: queue.ClaimedJob, fetched: Fetched) -> bool:
    """Give a URL submission the content that was fetched, and queue its job in that content's lane.

    Returns False, with nothing changed, when the job's lease was lost meanwhile. Raises
    FetchRefused for content nobody can judge, FetchFailed when it cannot be stored at the moment.
    Closes `fetched.body`.
    """
    with fetched.body:
        page = read_page(fetched.body.read()) if is_page(fetched) else None
        content = _content(page, fetched)
    lane = queue.lane_for(Submission(content_type=content.content_type))
    return _attach(job, content, _found(page, fetched), lane)


def _content(page: Page | None, fetched: Fetched) -> intake.StoredContent:
    try:
        if page:
            return intake.StoredContent(ContentType.TEXT, text=intake.judgeable(page.text))
        return intake.stored(fetched.body)
    except StorageUnavailable as error:
        raise FetchFailed(error.code, error.detail) from error
    except DetectionError as refusal:
        raise FetchRefused(refusal.code, refusal.detail) from refusal


def _found(page: Page | None, fetched: Fetched) -> dict[str, Any]:
    return {
        "final_url": fetched.final_url,
        "redirects": list(fetched.redirects),
        "address": fetched.address,
        "declared_type": fetched.content_type[:200],
        "title": page.title if page else "",
    }


@transaction.atomic
def _attach(
    job: queue.ClaimedJob,
    content: intake.StoredContent,
    found: dict[str, Any],
    lane: AnalysisJob.Lane,
) -> bool:
    """The move comes first: its lease token fences off a worker that lost the job."""
    if not queue.move_to_lane(job.id, job.lease_token, lane):
        return False
    if content.media:
        Media.objects.bulk_create([content.media], ignore_conflicts=True)
    Submission.objects.filter(id=job.submission_id).update(
        content_type=content.content_type, text=content.text, media=content.media, fetched=found
    )
    transaction.on_commit(partial(doorbell.ring, lane))
    return True
