"""Writing, sealing and verifying the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from kilinda.audit.models import AuditEntry

GENESIS = "0" * 64
"""Stands for the hash before the first entry."""

_SEALING_LOCK = 0x6B696C69
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was done. `actor` is user:<id>, key:<id> or system."""

    actor: str
    action: str
    target_type: str
    target_id: str
    detail: dict[str, Any] = field(default_factory=dict)


def record(acts: Iterable[Act]) -> None:
    """Write acts in the caller's transaction; they are sealed soon after it commits."""
    AuditEntry.objects.bulk_create(
        AuditEntry(
            actor=act.actor,
            action=act.action,
            target_type=act.target_type,
            target_id=act.target_id,
            detail=act.detail,
        )
        for act in acts
    )


def entry_hash(previous: str, entry: AuditEntry, chain_seq: int) -> str:
    """Return the hash that chains an entry to the one before it."""
    canonical = json.dumps(
        {
            "seq": chain_seq,
            "id": entry.pk,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "action": entry.action,
            "target": [entry.target_type, entry.target_id],
            "detail": entry.detail,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(f"{previous}{canonical}".encode()).hexdigest()


@transaction.atomic
def seal(limit: int = _PAGE) -> int:
    """Chain up to `limit` committed entries that are not chained yet; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEALING_LOCK])
    last = AuditEntry.objects.filter(chain_seq__isnull=False).order_by("-chain_seq").first()
    seq, previous = (last.chain_seq or 0, last.entry_hash) if last else (0, GENESIS)
    fresh = list(AuditEntry.objects.filter(chain_seq__isnull=True).order_by("id")[:limit])
    for entry in fresh:
        seq += 1
        previous = entry_hash(previous, entry, seq)
        entry.chain_seq, entry.entry_hash = seq, previous
    AuditEntry.objects.bulk_update(fresh, ["chain_seq", "entry_hash"], batch_size=500)
    return len(fresh)


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold, and why."""

    chain_seq: int
    reason: str


def verify() -> Broken | None:
    """Walk the whole chain; return the first broken link, or None when every link holds."""
    previous = GENESIS
    sealed = AuditEntry.objects.filter(chain_seq__isnull=False).order_by("chain_seq")
    for seq, entry in enumerate(sealed.iterator(), start=1):
        if entry.chain_seq != seq:
            return Broken(seq, f"entry {seq} is missing")
        if entry.entry_hash != entry_hash(previous, entry, seq):
            return Broken(seq, f"entry {seq} (id {entry.pk}) was altered")
        previous = entry.entry_hash
    return None
