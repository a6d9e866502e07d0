"""The append-only, hash-chained record of who did what."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """One act. Written unsealed by the act's own transaction; sealing numbers and chains it.

    `entry_hash` = sha256(previous hash, canonical JSON of the entry), so that a changed, removed or
    inserted entry breaks every later hash. A database trigger refuses any other update or delete.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.CharField(max_length=200, help_text="user:<id>, key:<id> or system")
    action = models.CharField(max_length=60)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)
    chain_seq = models.PositiveBigIntegerField(null=True, unique=True, editable=False)
    entry_hash = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(chain_seq__isnull=True, entry_hash="")
                | Q(chain_seq__gt=0, entry_hash__regex=r"^[0-9a-f]{64}$"),
                name="audit_sealed_has_hash",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(chain_seq__isnull=True), name="audit_unsealed"),
            models.Index(fields=["target_type", "target_id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor} {self.action} {self.target_type}:{self.target_id}"
