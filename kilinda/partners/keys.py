"""API keys: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets

from django.db.models.functions import Now

from kilinda.partners.models import APIKey, Organisation, User

_PREFIX_LENGTH = 12


def issue(*, organisation: Organisation, name: str, created_by: User | None = None, is_read_only: bool = False) -> tuple[APIKey, str]:
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


def find(key: str) -> APIKey | None:
    """Return the live key with its organisation, or None."""
    return (
        APIKey.objects.select_related("organisation")
        .filter(secret_sha256=digest(key), revoked_at=None, organisation__is_active=True)
        .first()
    )


def revoke(key: APIKey) -> None:
    """End a key now. Requests already under way finish."""
    APIKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())
