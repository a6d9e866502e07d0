"""API keys: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets

from django.db import connection
from django.db.models.functions import Now

from kilinda.partners.models import APIKey, Organisation, User

_PREFIX_LENGTH = 12


def issue(
    *,
    organisation: Organisation,
    name: str,
    created_by: User | None = None,
    is_read_only: bool = False,
) -> tuple[APIKey, str]:
    """Make a key; return its row and the key itself, which cannot be read again.

    256 random bits need no slow hash: a plain sha256 cannot be reversed by guessing.
    """
    key = f"ks_{secrets.token_urlsafe(32)}"
    row = APIKey.objects.create(
        organisation=organisation,
        name=name,
        prefix=key[:_PREFIX_LENGTH],
        secret_sha256=digest(key),
        is_read_only=is_read_only,
        created_by=created_by,
    )
    return row, key


def digest(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


# Written by hand because every API call waits for it, and the ORM takes longer than the database.
# The columns are in the order of the models' fields, as from_db() wants them.
_FIND = """
SELECT key.id, owner.id, key.name, key.prefix, key.is_read_only, owner.id, owner.name, owner.slug
FROM partners_apikey AS key JOIN partners_organisation AS owner ON owner.id = key.organisation_id
WHERE key.secret_sha256 = %s AND key.revoked_at IS NULL AND owner.is_active
"""


def find(key: str) -> APIKey | None:
    """Return the live key with its organisation, or None. Columns not named here are deferred."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [digest(key)])
        row = cursor.fetchone()
    if row is None:
        return None
    owner = Organisation.from_db(connection.alias, ["id", "name", "slug"], row[5:])
    found = APIKey.from_db(
        connection.alias,
        ["id", "organisation_id", "name", "prefix", "is_read_only"],
        row[:5],
    )
    found.organisation = owner
    return found


def revoke(key: APIKey) -> None:
    """End a key now. Requests already under way finish."""
    APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())
