"""Who may review what: an operator's reviewers everything, others their organisation's content."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from kilinda.partners.models import REVIEWING_ROLES, Member, Role

SENIOR_ROLES = (Role.SENIOR_REVIEWER, Role.ADMINISTRATOR)
"""Who decides escalated items."""


@dataclass(frozen=True, slots=True)
class Access:
    """A reviewer's reach. `everywhere` is an operator's and overrules the lists."""

    everywhere: bool
    organisations: frozenset[UUID]
    senior_everywhere: bool
    senior_in: frozenset[UUID]

    @property
    def is_senior(self) -> bool:
        """Whether some escalated items are this reviewer's to decide."""
        return self.senior_everywhere or bool(self.senior_in)

    def is_senior_for(self, organisation_id: UUID) -> bool:
        """Whether this organisation's escalated items are."""
        return self.senior_everywhere or organisation_id in self.senior_in


def access_of(user: AbstractBaseUser | AnonymousUser) -> Access | None:
    """Return what the user may review, read anew from the database, or None for nothing."""
    if not (user.is_authenticated and user.is_active):
        return None
    seats = Member.objects.filter(
        user_id=user.pk, role__in=REVIEWING_ROLES, organisation__is_active=True
    ).values_list("organisation_id", "organisation__is_operator", "role")
    if not seats:
        return None
    senior = [seat for seat in seats if seat[2] in SENIOR_ROLES]
    return Access(
        everywhere=any(is_operator for _, is_operator, _ in seats),
        organisations=frozenset(organisation for organisation, _, _ in seats),
        senior_everywhere=any(is_operator for _, is_operator, _ in senior),
        senior_in=frozenset(organisation for organisation, _, _ in senior),
    )
