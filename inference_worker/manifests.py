"""Runs a model over labelled items through the loop that production uses, and measures it."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inference_worker.errors import InferenceError
from inference_worker.evaluation import Report, evaluate
from inference_worker.registry import ModelFolder
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.types import Modality, Passage, Score

POSITIVE = frozenset({"1", "spoof", "ai", "true", "abuse", "synthetic", "fake"})
NEGATIVE = frozenset({"0", "bonafide", "real", "false", "normal", "authentic"})
_CLAIM = 64


class ManifestUnusable(InferenceError):
    """The manifest cannot be read as labelled items."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a manifest. Exactly one of `text` and `path` is set."""

    number: int
    label: int
    source: str
    language: str
    text: str | None
    path: Path | None


def read(manifest: Path) -> list[Labelled]:
    """Read a csv (or csv.gz) with columns file or text, label, source and lang.

    Files are found beside the manifest. Raises ManifestUnusable, naming the line and column.
    """
    csv.field_size_limit(sys.maxsize)
    opener = gzip.open if manifest.suffix == ".gz" else open
    try:
        with opener(manifest, "rt", encoding="utf-8", newline="") as lines:
            return [
                _labelled(n, row, manifest.parent) for n, row in enumerate(csv.DictReader(lines))
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestUnusable(f"{manifest.name} cannot be read: {error}") from error


def _labelled(number: int, row: dict[str, str | None], folder: Path) -> Labelled:
    text, file = row.get("text"), row.get("file")
    if bool(text) == bool(file):
        raise ManifestUnusable(f"Line {number + 2}: give one of the columns text and file.")
    return Labelled(
        number=number,
        label=_label(number, row.get("label") or ""),
        source=row.get("source") or "unknown",
        language=row.get("lang") or "",
        text=text or None,
        path=folder / file if file else None,
    )


def _label(number: int, label: str) -> int:
    if label.lower() in POSITIVE | NEGATIVE:
        return int(label.lower() in POSITIVE)
    known = ", ".join(sorted(POSITIVE | NEGATIVE))
    raise ManifestUnusable(f"Line {number + 2}: label {label!r} is none of {known}.")


class ManifestSource:
    """The runtime's source for a manifest: hands out its lines and keeps each probability."""

    def __init__(
        self, items: Sequence[Labelled], folder: ModelFolder, progress: Callable[[int], None]
    ) -> None:
        """`progress` is told how many items are done."""
        self._waiting: Iterator[Labelled] = iter(items)
        self._folder = folder
        self._progress = progress
        self.probabilities: dict[int, float] = {}
        self.reasons: dict[int, str] = {}

    def claim(self) -> list[Work[Labelled]]:
        """Hand out the next lines."""
        return [self._work(item) for item in islice(self._waiting, _CLAIM)]

    def _work(self, item: Labelled) -> Work[Labelled]:
        if item.text is not None:
            passage = Passage(item.text, item.language or None)
            return Work(item, Modality.TEXT, passage=passage)
        return Work(item, self._folder.modality, path=item.path)

    def finish(self, analysed: Sequence[Analysed[Labelled]]) -> None:
        """Keep what the model under test said."""
        for each in analysed:
            for said in (judged.judgement for judged in each.judged):
                if said.detector != self._folder.name:
                    continue
                if isinstance(said, Score):
                    self.probabilities[each.job.number] = said.probability
                else:
                    self.reasons[each.job.number] = said.code
        self._progress(len(self.probabilities) + len(self.reasons))

    def fail(self, job: Labelled, code: str, reason: str) -> None:
        """Count what cannot be read as not judged."""
        self.reasons[job.number] = code

    def retry(self, job: Labelled, code: str, reason: str) -> None:
        """Count what breaks the detector as not judged; the loop has logged why."""
        self.reasons[job.number] = code


def measure(
    runtime: Runtime, task: str, items: Sequence[Labelled], progress: Callable[[int], None]
) -> Report:
    """Run the task's model over the items; return its figures. Raises ModelUnusable if none."""
    folder, _ = runtime.registry.for_task(task)
    source = ManifestSource(items, folder, progress)
    runtime.drain(source)
    return evaluate(
        [item.label for item in items],
        [source.probabilities.get(item.number) for item in items],
        [item.source for item in items],
        [item.language for item in items],
        [item.number not in source.probabilities for item in items],
        threshold=folder.threshold,
    )
