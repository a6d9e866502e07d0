"""The queue's change log: every change of an item is written here and announced to open pages."""

from __future__ import annotations

from collections.abc import Iterable

from review import broadcast
from review.access import Access
from review.models import ItemChange


def record(changes: Iterable[ItemChange]) -> None:
    """Write changes in the caller's transaction; announce them, as one message, when it commits."""
    written = ItemChange.objects.bulk_create(changes)
    if written:
        broadcast.announce(written)


def latest_seq(access: Access) -> int:
    """Return the number of the newest change this access may see, 0 before the first."""
    changes = ItemChange.objects.order_by("-id")
    if not access.everywhere:
        changes = changes.filter(item__organisation__in=access.organisations)
    return changes.values_list("id", flat=True).first() or 0
