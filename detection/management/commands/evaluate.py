"""`manage.py evaluate`: measure the active model of a task on labelled data."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import InferenceError
from inference_worker.evaluation import Report, table
from inference_worker.manifests import measure, read
from inference_worker.registry import load_models
from inference_worker.runtime import Runtime


class Command(BaseCommand):
    help = "Run the active model of a task over a manifest and print how good it is."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--task", required=True, help="abuse, synthetic_speech, synthetic_image"
        )
        parser.add_argument("--manifest", required=True, type=Path, help="csv or csv.gz")
        parser.add_argument("--json", type=Path, help="also write the figures here")

    def handle(self, *, task: str, manifest: Path, json: Path | None = None, **_: Any) -> None:
        try:
            report = self._report(task, manifest)
        except InferenceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(table(report))
        if json:
            json.write_text(dumps(report))

    def _report(self, task: str, manifest: Path) -> Report:
        items = read(manifest)
        registry = load_models(Path(settings.KILINDA_MODELS))
        runtime = Runtime(registry, Decoder() if items and items[0].path else None)
        try:
            return measure(runtime, task, items, lambda done: self._progress(done, len(items)))
        finally:
            runtime.close()

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done} / {total}", ending="\n" if done == total else "")


def dumps(report: Report) -> str:
    """Return the report as indented JSON."""
    return json.dumps(report, indent=2)
