"""`manage.py evaluate`: measure a model on labelled data, alone or against another version.

Needs no server: manage.py runs it with kilinda.settings_offline.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference_worker import tables
from inference_worker.comparison import Answers, Comparison, compare
from inference_worker.drawing.calibration import reliability_diagram
from inference_worker.errors import InferenceError
from inference_worker.evaluation import LEVELS
from inference_worker.manifests import Labelled, read
from inference_worker.measuring import Measured, find, run
from inference_worker.registry import ModelFolder, sha256
from inference_worker.sources import bases, directories


def percent(written: str) -> float:
    """Return a percentage as a share."""
    try:
        share = float(written.rstrip("% ")) / 100
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise ArgumentTypeError(f"{written!r} is no percentage above 0 and up to 100")
    return share


class Command(BaseCommand):
    help = "Run a model over a csv of labelled items and print how good it is."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--task", help="abuse, synthetic_speech, synthetic_image, ...")
        which.add_argument("--model", help="NAME, NAME@VERSION, or a model folder")
        parser.add_argument("--manifest", required=True, type=Path, help="csv or csv.gz")
        parser.add_argument("--models", type=Path, help="folder of models, else KILINDA_MODELS")
        parser.add_argument(
            "--against", metavar="MODEL", help="compare with this one: as --model, on the same task"
        )
        parser.add_argument(
            "--at", type=percent, action="append", default=[], metavar="PERCENT",
            help="count the alarms from this score up too; may be repeated",
        )  # fmt: skip
        parser.add_argument("--json", type=Path, help="also write the figures here")
        parser.add_argument("--plot", type=Path, help="also draw the reliability diagram here, PNG")
        parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")

    def handle(self, *, manifest: Path, **options: Any) -> None:
        for path in filter(None, (options["json"], options["plot"])):
            _check_writable(path)  # now, not after an hour of judging
        try:
            self._evaluate(read(manifest), manifest, **options)
        except InferenceError as error:
            raise CommandError(str(error)) from error

    def _evaluate(self, items: list[Labelled], manifest: Path, **options: Any) -> None:
        root, seed = options["models"] or _directory(), options["seed"]
        folder = find(root, task=options["task"], model=options["model"])
        other = options["against"]
        old = find(root, task=folder.task, model=other) if other else None
        measured = self._run(folder, items)
        report = measured.report(items, sorted({*LEVELS, *options["at"]}), seed)
        self._say(f"{folder} ({folder.task}) on {manifest.name}, {len(items)} items")
        self._say(tables.figures(report, measured.not_judged))
        self._say("Does a probability mean what it says?", tables.diagram(report["curve"]))
        self._say("How many alarms are right?", tables.alarms(report["levels"], folder.threshold))
        found: dict[str, Any] = {
            **report,
            "model": str(folder),
            "manifest": {"name": manifest.name, "sha256": sha256(manifest), "items": len(items)},
            "not_judged": measured.not_judged,
        }
        if old:
            found["comparison"] = self._compare(items, self._run(old, items), measured, seed)
        if options["plot"]:
            drawn = reliability_diagram(report, str(folder), manifest.name)
            options["plot"].write_bytes(drawn)
        if options["json"]:
            written = json.dumps(found, indent=2) + "\n"
            options["json"].write_text(written, encoding="utf-8")

    def _run(self, folder: ModelFolder, items: list[Labelled]) -> Measured:
        return run(folder, items, lambda done: self._progress(str(folder), done, len(items)))

    def _compare(
        self, items: list[Labelled], old: Measured, new: Measured, seed: int
    ) -> Comparison:
        before, after = (
            Answers(
                str(each.folder),
                [each.probabilities.get(item.number) for item in items],
                each.folder.threshold,
            )
            for each in (old, new)
        )
        labels, groups = [item.label for item in items], [item.groups for item in items]
        try:
            found = compare(labels, before, after, groups, seed=seed)
        except ValueError as error:
            raise CommandError(f"The models cannot be compared: {error}.") from error
        self._say("Is it better than the other version?", tables.comparison(found))
        return found

    def _say(self, *parts: str) -> None:
        self.stdout.write("\n".join(parts) + "\n\n")

    def _progress(self, model: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{model}: {done} / {total}", ending="\n" if done == total else "")


def _directory() -> Path:
    """Return the directory KILINDA_MODELS names, where it names no other place."""
    if len(bases(settings.KILINDA_MODELS)) != 1 or not directories(settings.KILINDA_MODELS):
        raise CommandError("KILINDA_MODELS is not one directory: name one with --models.")
    return directories(settings.KILINDA_MODELS)[0]


def _check_writable(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}.") from error
