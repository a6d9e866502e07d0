"""The event log of an organisation: append without waiting, number without gaps, read by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from kilinda.partners.models import Event, Organisation


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to be written. `type` is a dotted name such as `analysis.completed`."""

    organisation_id: UUID
    type: str
    subject_id: UUID
    payload: dict[str, Any] = field(default_factory=dict)


def append(events: Iterable[NewEvent]) -> None:
    """Write events, unnumbered, in the caller's transaction; they exist when it commits."""
    Event.objects.bulk_create(
        Event(
            organisation_id=event.organisation_id,
            type=event.type,
            subject_id=event.subject_id,
            payload=event.payload,
        )
        for event in events
    )


_NUMBER = """
WITH fresh AS (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM partners_event WHERE organisation_id = %(organisation)s AND seq IS NULL
)
UPDATE partners_event SET seq = %(last)s + fresh.place FROM fresh WHERE partners_event.id = fresh.id
"""


@transaction.atomic
def sequence(organisation_id: UUID) -> int:
    """Number the committed events that have no number yet; return the organisation's last number.

    The organisation's row is the lock, so numbers have no gaps, never change, and an event that
    commits late gets a later number instead of appearing behind a reader's back.
    """
    organisation = Organisation.objects.select_for_update(no_key=True).get(id=organisation_id)
    with connection.cursor() as cursor:
        cursor.execute(
            _NUMBER, {"organisation": organisation_id, "last": organisation.last_event_seq}
        )
        numbered = cursor.rowcount
    if numbered:
        organisation.last_event_seq += numbered
        organisation.save(update_fields=["last_event_seq"])
    return organisation.last_event_seq


def read(organisation_id: UUID, *, after_seq: int, limit: int) -> Sequence[Event]:
    """Return up to `limit` events numbered above `after_seq`, in order."""
    sequence(organisation_id)
    return list(
        Event.objects.filter(organisation_id=organisation_id, seq__gt=after_seq).order_by("seq")[
            :limit
        ]
    )
