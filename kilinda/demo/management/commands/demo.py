"""Creates the demonstration's organisations, accounts and API key; with --submit, its content.

Run it as often as you like: what exists stays as it is, and content is submitted once.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from detection.errors import DetectionError
from kilinda.demo import accounts, content


class Command(BaseCommand):
    """`manage.py demo [--submit]`"""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --submit."""
        parser.add_argument("--submit", action="store_true", help="submit the sample content too")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Set up, submit when asked, and say what there is."""
        made = accounts.set_up()
        self.stdout.write(f"accounts and API key: {accounts.path()}")
        if options["submit"]:
            self._submit(made["api_key"])

    def _submit(self, api_key: str) -> None:
        try:
            receipts = content.submit_all(api_key)
        except (DetectionError, PermissionError) as error:
            raise CommandError(str(error)) from error
        for sample, receipt in zip(content.CONTENT, receipts, strict=True):
            self.stdout.write(f"{receipt.submission_id}  {sample.title}")
