"""The moves a review item may make. Whoever changes a status asks this table first."""

from __future__ import annotations

from review.errors import InvalidTransition
from review.models import ReviewItem

Status = ReviewItem.Status

MOVES: dict[Status, frozenset[Status]] = {
    Status.OPEN: frozenset({Status.CLAIMED, Status.ESCALATED, Status.CLOSED}),
    Status.CLAIMED: frozenset({Status.OPEN, Status.DECIDED, Status.ESCALATED, Status.CLOSED}),
    Status.ESCALATED: frozenset({Status.CLAIMED, Status.CLOSED}),
    Status.DECIDED: frozenset({Status.FINAL, Status.CLAIMED}),  # claimed again: undone
    Status.APPEALED: frozenset({Status.CLAIMED}),
    Status.FINAL: frozenset(),
    Status.CLOSED: frozenset(),
}


def check(current: str, target: Status) -> None:
    """Raise InvalidTransition unless an item may move from `current` to `target`."""
    if target not in MOVES[Status(current)]:
        raise InvalidTransition(
            f"An item that is {Status(current).label.lower()} cannot become {target.label.lower()}."
        )
