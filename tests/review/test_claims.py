"""Claims: one holder at a time, whatever races; a lease that ends; a token that fences."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from detection.models import Priority
from kilinda.partners.models import Role, User
from review import claims, escalation
from review.errors import (
    ClaimLost,
    InvalidTransition,
    ItemAlreadyClaimed,
    ItemNotFound,
    SeniorReviewerNeeded,
)
from review.models import ItemChange, ReviewItem
from tests import factories

Status = ReviewItem.Status


def run_out(item: ReviewItem) -> None:
    ReviewItem.objects.filter(pk=item.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def kinds(item: ReviewItem) -> list[str]:
    return list(item.changes.values_list("kind", flat=True))


def test_the_most_urgent_then_most_severe_then_oldest_item_goes_first(amina: User) -> None:
    organisation = factories.OrganisationFactory()
    common = {"organisation": organisation}
    oldest = factories.ItemFactory(priority=Priority.HIGH, severity=80, **common)
    newest = factories.ItemFactory(priority=Priority.HIGH, severity=80, **common)
    severe = factories.ItemFactory(priority=Priority.HIGH, severity=95, **common)
    urgent = factories.ItemFactory(priority=Priority.URGENT, severity=10, **common)

    order = [claims.claim_next(reviewer=amina) for _ in range(4)]

    assert order == [urgent, severe, oldest, newest]
    assert claims.claim_next(reviewer=amina) is None


def test_claiming_next_stays_within_the_wanted_items(amina: User) -> None:
    factories.ItemFactory(severity=99)
    picture = factories.ItemFactory(image=True, severity=1)

    wanted = ReviewItem.objects.filter(result__content_type="image")

    assert claims.claim_next(reviewer=amina, among=wanted) == picture
    assert claims.claim_next(reviewer=amina, among=wanted) is None


def test_claiming_next_never_takes_a_foreign_organisations_item(item: ReviewItem) -> None:
    stranger = factories.reviewer(organisation=factories.OrganisationFactory())

    assert claims.claim_next(reviewer=stranger) is None


@pytest.mark.django_db(transaction=True)
def test_twenty_reviewers_claiming_at_once_never_get_the_same_item() -> None:
    people = [factories.reviewer() for _ in range(20)]
    organisation = factories.OrganisationFactory()
    submissions = {"result__job__submission__organisation": organisation}
    items = {factories.ItemFactory(**submissions).pk for _ in range(50)}

    def work(person: User) -> list[UUID]:
        got = []
        while (found := claims.claim_next(reviewer=person)) is not None:
            got.append(found.pk)
        connection.close()
        return got

    with ThreadPoolExecutor(20) as pool:
        claimed = [pk for got in pool.map(work, people) for pk in got]

    assert sorted(claimed) == sorted(items)
    assert ItemChange.objects.filter(kind=ItemChange.Kind.CLAIMED).count() == 50


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_one_item_exactly_one_gets_it() -> None:
    people = [factories.reviewer() for _ in range(10)]
    item = factories.ItemFactory()

    def work(person: User) -> bool:
        try:
            claims.claim(item_id=item.pk, reviewer=person)
        except ItemAlreadyClaimed:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(work, people)) == 1


def test_a_claim_fails_when_another_reviewer_holds_the_item(
    claimed: ReviewItem, brian: User
) -> None:
    with pytest.raises(ItemAlreadyClaimed):
        claims.claim(item_id=claimed.pk, reviewer=brian)


def test_claiming_twice_keeps_the_token_so_that_two_tabs_agree(
    claimed: ReviewItem, amina: User
) -> None:
    run_out(claimed)

    again = claims.claim(item_id=claimed.pk, reviewer=amina)

    assert again.lease_token == claimed.lease_token
    assert again.lease_until > timezone.now()


def test_a_foreign_item_cannot_be_claimed_or_told_from_a_missing_one(item: ReviewItem) -> None:
    stranger = factories.reviewer(organisation=factories.OrganisationFactory())

    for item_id in (item.pk, uuid4()):
        with pytest.raises(ItemNotFound):
            claims.claim(item_id=item_id, reviewer=stranger)


def test_the_lease_lasts_as_set_on_the_databases_clock(
    settings: object, item: ReviewItem, amina: User
) -> None:
    settings.KILINDA_CLAIM_MINUTES = 7

    claimed = claims.claim(item_id=item.pk, reviewer=amina)

    assert claimed.lease_until - claimed.claimed_at == timedelta(minutes=7)


def test_an_ended_lease_returns_the_item_and_voids_the_token(
    claimed: ReviewItem, amina: User
) -> None:
    token = claimed.lease_token
    run_out(claimed)

    assert claims.expire() == 1

    claimed.refresh_from_db()
    assert (claimed.status, claimed.assigned_to) == (Status.OPEN, None)
    with pytest.raises(ClaimLost):
        claims.renew(item_id=claimed.pk, lease_token=token, reviewer=amina)


def test_a_running_lease_does_not_expire(claimed: ReviewItem) -> None:
    assert claims.expire() == 0


def test_renewing_moves_the_end_of_the_lease(claimed: ReviewItem, amina: User) -> None:
    run_out(claimed)

    renewed = claims.renew(item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=amina)

    assert renewed.lease_until > timezone.now() + timedelta(minutes=1)


def test_another_persons_token_renews_and_releases_nothing(
    claimed: ReviewItem, brian: User
) -> None:
    for use in (claims.renew, claims.release):
        with pytest.raises(ClaimLost):
            use(item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=brian)


def test_a_released_item_is_open_again_and_its_story_is_told(
    claimed: ReviewItem, amina: User
) -> None:
    released = claims.release(item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=amina)

    assert released.status == Status.OPEN
    assert kinds(released) == ["claimed", "released"]


def test_an_escalated_item_is_for_senior_reviewers_even_after_their_claim_ran_out(
    claimed: ReviewItem, amina: User, senior: User
) -> None:
    escalation.escalate(
        item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=amina, note="Kiswahili slang"
    )
    with pytest.raises(SeniorReviewerNeeded):
        claims.claim(item_id=claimed.pk, reviewer=amina)

    run_out(claims.claim(item_id=claimed.pk, reviewer=senior))
    claims.expire()

    claimed.refresh_from_db()
    assert claimed.status == Status.ESCALATED
    assert claims.claim_next(reviewer=amina) is None
    with pytest.raises(SeniorReviewerNeeded):
        claims.claim(item_id=claimed.pk, reviewer=amina)


def test_an_administrator_can_end_a_claim_but_not_what_is_not_claimed(
    claimed: ReviewItem, amina: User
) -> None:
    administrator = factories.reviewer(role=Role.ADMINISTRATOR)

    assert claims.end_claim(item_id=claimed.pk, administrator=administrator).status == Status.OPEN
    with pytest.raises(InvalidTransition):
        claims.end_claim(item_id=claimed.pk, administrator=administrator)
    with pytest.raises(ClaimLost):
        claims.renew(item_id=claimed.pk, lease_token=claimed.lease_token, reviewer=amina)
