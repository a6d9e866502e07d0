"""The periodic care of the queue. Running it twice, or on two machines, leaves the same rows."""

from __future__ import annotations

from celery import shared_task

from review import claims, decisions


@shared_task(name="review.tasks.tidy")
def tidy() -> None:
    """Return items whose claim ran out; make decisions final whose undo time has passed."""
    claims.expire()
    decisions.finalise_due()
