"""Walks the audit chain: ends with 0 when every link holds, else names the first broken one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kilinda.audit import log


class Command(BaseCommand):
    """`manage.py verify_audit`"""

    help = __doc__

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Seal what is committed, then verify all of it."""
        while log.seal():
            pass
        if broken := log.verify():
            raise CommandError(f"The audit chain breaks: {broken.reason}.")
        self.stdout.write("The audit chain holds.")
