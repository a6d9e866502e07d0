"""Who sees which items."""

import pytest

from kilinda.partners.models import Role
from review.access import access_of
from review.models import ReviewItem
from tests import factories

pytestmark = pytest.mark.django_db


# role, of the operator, of the submitting organisation, of a third one: which of them see the item
@pytest.mark.parametrize(
    ("role", "at", "sees"),
    [
        (Role.PARTNER, "operator", False),
        (Role.PARTNER, "own", False),
        (Role.REVIEWER, "operator", True),
        (Role.REVIEWER, "own", True),
        (Role.REVIEWER, "foreign", False),
        (Role.SENIOR_REVIEWER, "operator", True),
        (Role.SENIOR_REVIEWER, "own", True),
        (Role.SENIOR_REVIEWER, "foreign", False),
        (Role.ADMINISTRATOR, "operator", True),
        (Role.ADMINISTRATOR, "own", True),
        (Role.ADMINISTRATOR, "foreign", False),
    ],
)
def test_items_are_visible_to_their_organisation_and_to_the_operator(
    role: Role, at: str, sees: bool
) -> None:
    item = factories.ItemFactory()
    place = {
        "operator": factories.operator(),
        "own": item.organisation,
        "foreign": factories.OrganisationFactory(),
    }[at]
    user = factories.reviewer(organisation=place, role=role)

    assert ReviewItem.objects.for_reviewer(user).filter(pk=item.pk).exists() is sees


def test_a_closed_account_sees_nothing() -> None:
    user = factories.reviewer(is_active=False)

    assert access_of(user) is None


def test_members_of_a_closed_organisation_see_nothing() -> None:
    organisation = factories.OrganisationFactory(is_active=False)

    assert access_of(factories.reviewer(organisation=organisation)) is None


def test_a_superuser_without_a_reviewing_role_sees_nothing() -> None:
    factories.ItemFactory()

    assert not ReviewItem.objects.for_reviewer(factories.UserFactory(is_superuser=True)).exists()


def test_seniority_in_one_organisation_is_none_in_another() -> None:
    home, other = factories.OrganisationFactory(), factories.OrganisationFactory()
    user = factories.reviewer(organisation=home, role=Role.SENIOR_REVIEWER)
    factories.MemberFactory(user=user, organisation=other, role=Role.REVIEWER)

    access = access_of(user)
    assert access is not None
    assert access.is_senior_for(home.pk)
    assert not access.is_senior_for(other.pk)
