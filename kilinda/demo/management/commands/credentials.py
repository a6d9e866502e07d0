"""Prints the demonstration's accounts and API key."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kilinda.demo import accounts


class Command(BaseCommand):
    """`manage.py credentials [--json]`"""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --json."""
        parser.add_argument("--json", action="store_true", help="print JSON for programs")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print what `manage.py demo` kept."""
        kept = accounts.credentials()
        if not kept:
            raise CommandError("There are none yet: run `manage.py demo` first.")
        self.stdout.write(json.dumps(kept, indent=2) if options["json"] else _table(kept))


def _table(kept: dict[str, Any]) -> str:
    base = kept["base_url"]
    people = [
        f"  {person.account:<12}{kept[person.account]['password']:<20}{person.role.label}"
        for person in accounts.PEOPLE
    ]
    return "\n".join(
        [
            "",
            f"Review       {base}/review/",
            f"Back office  {base}/admin/   (as admin)",
            f"API          {base}/api/docs/",
            "",
            "Accounts",
            *people,
            "",
            f"API key of {accounts.PARTNER[0]}",
            f"  {kept['api_key']}",
        ]
    )
