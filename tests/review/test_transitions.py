"""Which statuses may follow which."""

import pytest

from review import transitions
from review.errors import InvalidTransition
from review.models import ReviewItem

S = ReviewItem.Status

ALLOWED = {
    (S.OPEN, S.CLAIMED),
    (S.OPEN, S.ESCALATED),
    (S.OPEN, S.CLOSED),
    (S.CLAIMED, S.OPEN),  # released, or the lease ended
    (S.CLAIMED, S.DECIDED),
    (S.CLAIMED, S.ESCALATED),
    (S.CLAIMED, S.CLOSED),
    (S.ESCALATED, S.CLAIMED),
    (S.ESCALATED, S.CLOSED),
    (S.DECIDED, S.FINAL),
    (S.DECIDED, S.CLAIMED),  # undone
    (S.APPEALED, S.CLAIMED),
}


@pytest.mark.parametrize("current", list(S))
@pytest.mark.parametrize("target", list(S))
def test_only_the_moves_of_the_table_are_allowed(current: S, target: S) -> None:
    if (current, target) in ALLOWED:
        transitions.check(current, target)
        return
    with pytest.raises(InvalidTransition, match="cannot become"):
        transitions.check(current, target)
