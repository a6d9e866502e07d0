"""The demonstration's organisations, people and API key; the same on every start.

Passwords are random for each installation and kept in KILINDA_HOME/credentials.json, readable by
its owner only.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from kilinda import env
from kilinda.audit.log import Act, record
from kilinda.partners import keys
from kilinda.partners.models import Member, Organisation, Role, User
from kilinda.stack.home import write_private

DESK = ("Kilinda Desk", "kilinda-desk")
PARTNER = ("Uchaguzi Watch", "uchaguzi-watch")
_KEY_NAME = "demonstration"


@dataclass(frozen=True, slots=True)
class Person:
    """One account of the operator's desk."""

    account: str
    """Its name in credentials.json."""
    first_name: str
    last_name: str
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether the person runs the installation and may enter the back office."""
        return self.role == Role.ADMINISTRATOR


PEOPLE = (
    Person("admin", "Asha", "Mwangi", Role.ADMINISTRATOR),
    Person("reviewer", "Juma", "Otieno", Role.REVIEWER),
    Person("reviewer2", "Wanjiru", "Kamau", Role.REVIEWER),
    Person("senior", "Neema", "Barasa", Role.SENIOR_REVIEWER),
)


def path() -> Path:
    """Return where the credentials are kept."""
    return Path(settings.KILINDA_HOME) / "credentials.json"


def credentials() -> dict[str, Any]:
    """Return what was kept: base_url, api_key, and username and password of each account."""
    try:
        kept: dict[str, Any] = json.loads(path().read_text())
    except FileNotFoundError:
        return {}
    return kept


def set_up() -> dict[str, Any]:
    """Create whatever is missing and return the credentials.

    An account that exists keeps its password, unless the file that knows it was lost.
    """
    kept = credentials()
    with transaction.atomic():
        desk, partner = _organisation(*DESK, is_operator=True), _organisation(*PARTNER)
        made: dict[str, Any] = {person.account: _account(person, desk, kept) for person in PEOPLE}
        made["api_key"] = _api_key(partner, kept.get("api_key", ""))
    made["base_url"] = f"http://127.0.0.1:{env.integer('KILINDA_PORT', 8000)}"
    write_private(path(), json.dumps(made, indent=2))
    return made


def _organisation(name: str, slug: str, *, is_operator: bool = False) -> Organisation:
    organisation, _ = Organisation.objects.get_or_create(
        slug=slug, defaults={"name": name, "is_operator": is_operator}
    )
    return organisation


def _account(person: Person, desk: Organisation, kept: dict[str, Any]) -> dict[str, str]:
    user, is_new = User.objects.get_or_create(
        username=person.account,
        defaults={
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": f"{person.account}@kilinda.example",
            "is_staff": person.is_admin,
            "is_superuser": person.is_admin,
        },
    )
    known = kept.get(person.account, {}).get("password", "")
    password = known or secrets.token_urlsafe(12)
    if is_new or not known:
        user.set_password(password)
        user.save(update_fields=["password"])
        record([Act("system", "account.password_set", "user", str(user.pk))])
    if is_new:
        Member.objects.create(user=user, organisation=desk, role=person.role)
    return {"username": person.account, "password": password}


def _api_key(partner: Organisation, known: str) -> str:
    """Return the kept key while it is alive, else a new one."""
    if known and keys.find(known):
        return known
    row, key = keys.issue(organisation=partner, name=_KEY_NAME)
    record([Act("system", "key.issued", "apikey", str(row.pk))])
    return key
