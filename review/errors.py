"""What review refuses, named for the fact. The docstring is the default message."""

from __future__ import annotations


class ReviewError(Exception):
    """The item cannot be changed like this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class InvalidTransition(ReviewError):
    """The item's status does not allow this."""


class ItemNotFound(ReviewError):
    """There is no such item, or it is not yours to see."""


class ItemAlreadyClaimed(ReviewError):
    """Somebody else is reviewing this item."""


class SeniorReviewerNeeded(ReviewError):
    """This item was escalated: a senior reviewer decides it."""


class ClaimLost(ReviewError):
    """Your claim on this item ran out or was released."""


class UndoTooLate(ReviewError):
    """The time in which this decision could be undone has passed."""


class PreviewMissing(ReviewError):
    """There is no such picture of this item."""
