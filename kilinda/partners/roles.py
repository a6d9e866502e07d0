"""What a role allows in the back office. Rows say who has the role, this module what it means."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser

from kilinda.partners.models import Member, Role, User

ADMINISTERED = frozenset(
    {"partners", "audit", "detection", "review", "scans", "django_celery_beat"}
)
"""The apps an administrator works on. Signing in to the back office also needs `is_staff`."""


def is_administrator(user: User | AnonymousUser) -> bool:
    """Say whether the person has the role administrator in an operator organisation."""
    if not (user.is_authenticated and user.is_active):
        return False
    return Member.objects.filter(
        user=user,
        role=Role.ADMINISTRATOR,
        organisation__is_operator=True,
        organisation__is_active=True,
    ).exists()


class AdministratorBackend(BaseBackend):
    """Grants administrators every permission on the platform's own tables."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Answer for one permission, named app.action_model."""
        return perm.partition(".")[0] in ADMINISTERED and self._is_administrator(user_obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Answer for a whole app."""
        return app_label in ADMINISTERED and self._is_administrator(user_obj)

    def _is_administrator(self, user: User | AnonymousUser) -> bool:
        """Ask once for each loaded user: a page asks for dozens of permissions."""
        answers = vars(user)
        if "_is_administrator" not in answers:
            answers["_is_administrator"] = is_administrator(user)
        return bool(answers["_is_administrator"])
