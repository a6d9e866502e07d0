"""What an administrator may do to review items outside the reviewers' pages."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from kilinda.audit.models import AuditEntry
from kilinda.partners.models import User
from review.models import ReviewItem
from tests import factories

Status = ReviewItem.Status


def press(user: User, item: ReviewItem, action: str) -> str:
    client = Client()
    client.force_login(user)
    given = {"action": action, "_selected_action": str(item.pk)}
    answer = client.post(reverse("admin:review_reviewitem_changelist"), given, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.fixture
def chief(db: None) -> User:
    return factories.UserFactory(is_staff=True, is_superuser=True)


def test_ending_a_claim_returns_the_item_and_is_audited(claimed: ReviewItem, chief: User) -> None:
    assert "back in the queue: 1" in press(chief, claimed, "end_claim")

    claimed.refresh_from_db()
    assert claimed.status == Status.OPEN
    assert AuditEntry.objects.get(action="review.claim_ended").target_id == str(claimed.pk)


def test_ending_a_claim_nobody_has_is_refused_in_words(item: ReviewItem, chief: User) -> None:
    assert "cannot become open" in press(chief, item, "end_claim")


def test_escalating_takes_the_item_from_its_holder(claimed: ReviewItem, chief: User) -> None:
    assert "escalated: 1" in press(chief, claimed, "escalate")

    claimed.refresh_from_db()
    assert (claimed.status, claimed.assigned_to) == (Status.ESCALATED, None)


def test_who_may_only_look_may_not_act(claimed: ReviewItem) -> None:
    onlooker = factories.UserFactory(is_staff=True)
    onlooker.user_permissions.add(Permission.objects.get(codename="view_reviewitem"))

    press(onlooker, claimed, "end_claim")

    claimed.refresh_from_db()
    assert claimed.status == Status.CLAIMED


def test_an_items_page_tells_its_whole_story(claimed: ReviewItem, chief: User) -> None:
    client = Client()
    client.force_login(chief)

    shown = client.get(reverse("admin:review_reviewitem_change", args=[claimed.pk])).text

    assert "Claimed" in shown
    assert "End the claim" in shown
