"""Decisions: fenced by the claim, undone in time by their maker, final once and only once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from kilinda.audit.models import AuditEntry
from kilinda.partners.models import Event, User
from review import claims, decisions, escalation, tasks
from review.errors import ClaimLost, InvalidTransition, ItemNotFound, UndoTooLate
from review.models import Decision, ReviewItem, Verdict
from tests import factories

Status = ReviewItem.Status


def decide(item: ReviewItem, reviewer: User, verdict: Verdict = Verdict.ABUSIVE) -> Decision:
    return decisions.decide(
        item_id=item.pk,
        lease_token=item.lease_token,
        reviewer=reviewer,
        verdict=verdict,
        note="Calls people vermin.",
    )


def let_undo_time_pass() -> None:
    ReviewItem.objects.filter(status=Status.DECIDED).update(
        final_after=timezone.now() - timedelta(seconds=1)
    )


def test_a_decision_ends_the_claim_and_may_be_undone_for_a_while(
    settings: object, claimed: ReviewItem, amina: User
) -> None:
    settings.KILINDA_UNDO_SECONDS = 45

    decision = decide(claimed, amina)

    claimed.refresh_from_db()
    assert (claimed.status, claimed.expert_decision) == (Status.DECIDED, "abusive")
    assert claimed.lease_token is None
    assert claimed.final_after - claimed.reviewed_at == timedelta(seconds=45)
    assert decision.seconds_spent > 0


def test_a_decision_after_the_lease_ended_changes_nothing(claimed: ReviewItem, amina: User) -> None:
    ReviewItem.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.tidy()

    with pytest.raises(ClaimLost):
        decide(claimed, amina)

    claimed.refresh_from_db()
    assert claimed.status == Status.OPEN
    assert not Decision.objects.exists()


def test_another_reviewer_cannot_decide_with_a_stolen_token(
    claimed: ReviewItem, brian: User
) -> None:
    with pytest.raises(ClaimLost):
        decide(claimed, brian)


def test_the_same_claim_decides_once(claimed: ReviewItem, amina: User) -> None:
    decide(claimed, amina)

    with pytest.raises(ClaimLost):
        decide(claimed, amina, Verdict.SATIRE)

    assert Decision.objects.get().verdict == Verdict.ABUSIVE


@pytest.mark.django_db(transaction=True)
def test_a_double_click_decides_once() -> None:
    amina = factories.reviewer()
    item = claims.claim(item_id=factories.ItemFactory().pk, reviewer=amina)

    def click(_: int) -> bool:
        try:
            decide(item, amina)
        except ClaimLost:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(click, range(8))) == 1
    assert Decision.objects.count() == 1


def test_undo_gives_the_item_back_to_its_reviewer_and_keeps_the_record(
    claimed: ReviewItem, amina: User
) -> None:
    first = decide(claimed, amina)

    item = decisions.undo(item_id=claimed.pk, reviewer=amina)

    assert (item.status, item.assigned_to, item.expert_decision) == (Status.CLAIMED, amina, "")
    withdrawal = Decision.objects.get(is_withdrawal=True)
    assert withdrawal.override_of == first
    decide(item, amina, Verdict.SATIRE)
    assert decisions.standing(item).verdict == Verdict.SATIRE
    assert list(item.changes.values_list("kind", flat=True)) == [
        "claimed",
        "decided",
        "undone",
        "decided",
    ]


def test_undo_after_its_time_is_refused(claimed: ReviewItem, amina: User) -> None:
    decide(claimed, amina)
    let_undo_time_pass()

    with pytest.raises(UndoTooLate):
        decisions.undo(item_id=claimed.pk, reviewer=amina)


def test_undo_of_a_final_verdict_is_refused(claimed: ReviewItem, amina: User) -> None:
    decide(claimed, amina)
    let_undo_time_pass()
    tasks.tidy()

    with pytest.raises(InvalidTransition):
        decisions.undo(item_id=claimed.pk, reviewer=amina)


def test_nobody_undoes_anothers_decision(claimed: ReviewItem, amina: User, senior: User) -> None:
    decide(claimed, amina)

    with pytest.raises(ItemNotFound):
        decisions.undo(item_id=claimed.pk, reviewer=senior)


def test_a_decision_that_may_still_be_undone_stays_inside(claimed: ReviewItem, amina: User) -> None:
    decide(claimed, amina)

    assert decisions.finalise_due() == 0

    claimed.result.refresh_from_db()
    assert claimed.result.verdict == ""
    assert not Event.objects.exists()


def test_a_final_verdict_reaches_the_partner_once_however_often_the_queue_is_tidied(
    claimed: ReviewItem, amina: User
) -> None:
    decide(claimed, amina)
    let_undo_time_pass()

    for _ in range(3):
        tasks.tidy()

    claimed.refresh_from_db()
    assert claimed.status == Status.FINAL
    assert claimed.result.verdict == "abusive"
    assert claimed.result.verdict_at == claimed.reviewed_at
    event = Event.objects.get(type="verdict.issued")
    assert event.organisation == claimed.organisation
    assert event.subject_id == claimed.job.submission_id
    assert AuditEntry.objects.filter(action="review.finalised").count() == 1


def test_a_senior_reviewer_decides_what_was_escalated(
    claimed: ReviewItem, amina: User, senior: User
) -> None:
    escalation.escalate(
        item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=amina, note="Not sure."
    )
    with pytest.raises(ClaimLost):
        decide(claimed, amina)

    decide(claims.claim(item_id=claimed.pk, reviewer=senior), senior)

    assert Decision.objects.get().reviewer == senior
