"""Runs a model over labelled items through the loop that production uses, and measures it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from inference_worker.decoding.decoder import Decoder
from inference_worker.decoding.sniff import HEAD_BYTES, sniff
from inference_worker.errors import ModelUnusable
from inference_worker.evaluation import LEVELS, Report, evaluate
from inference_worker.manifests import Labelled, ManifestUnusable
from inference_worker.registry import MANIFEST, ModelFolder, Registry, load_models
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.types import Abstention, Modality, Passage, Score

_CLAIM = 64

Progress = Callable[[int], None]
"""Told how many items are done."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model made of the items, by their number."""

    folder: ModelFolder
    probabilities: dict[int, float] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    """Why an item was not judged: a gate's code, or why it could not be read."""

    @property
    def not_judged(self) -> dict[str, int]:
        """Count the reasons, the most frequent first."""
        return dict(Counter(self.reasons.values()).most_common())

    def report(
        self, items: Sequence[Labelled], levels: Sequence[float] = LEVELS, seed: int = 0
    ) -> Report:
        """Return the figures by source, language and condition."""
        return evaluate(
            [item.label for item in items],
            [self.probabilities.get(item.number) for item in items],
            [item.source for item in items],
            [item.language for item in items],
            [item.number not in self.probabilities for item in items],
            conditions=[item.condition for item in items],
            threshold=self.folder.threshold,
            levels=levels,
            seed=seed,
        )


class ManifestSource:
    """The runtime's source for a manifest: hands out its lines and keeps each probability."""

    def __init__(self, items: Sequence[Labelled], folder: ModelFolder, progress: Progress) -> None:
        """`folder` is the model under test."""
        self._waiting: Iterator[Labelled] = iter(items)
        self._progress = progress
        self.measured = Measured(folder)

    def claim(self) -> list[Work[Labelled]]:
        """Hand out the next lines."""
        return [self._work(item) for item in islice(self._waiting, _CLAIM)]

    def _work(self, item: Labelled) -> Work[Labelled]:
        if item.text is not None:
            passage = Passage(item.text, item.language or None)
            return Work(item, Modality.TEXT, passage=passage)
        assert item.path is not None, "an item is a text or a file"
        modality = _judged_as(item.path, self.measured.folder.modality)
        return Work(item, modality, path=item.path, language=item.language or None)

    def finish(self, analysed: Sequence[Analysed[Labelled]]) -> None:
        """Keep what the model under test said."""
        for each in analysed:
            for said in (judged.judgement for judged in each.judged):
                if said.detector != self.measured.folder.name:
                    continue
                if isinstance(said, Abstention):
                    self.measured.reasons[each.job.number] = said.code
                elif isinstance(said, Score) and said.label == self.measured.folder.task:
                    self.measured.probabilities[each.job.number] = said.probability
        self._progress(len(self.measured.probabilities) + len(self.measured.reasons))

    def fail(self, job: Labelled, code: str, reason: str) -> None:
        """Count what cannot be read as not judged."""
        self.measured.reasons[job.number] = code

    def retry(self, job: Labelled, code: str, reason: str) -> None:
        """Count what breaks the detector as not judged; the loop has logged why."""
        self.measured.reasons[job.number] = code


def run(folder: ModelFolder, items: Sequence[Labelled], progress: Progress) -> Measured:
    """Load this model alone, run it over the items, and return what it said.

    Raises ManifestUnusable when it judges another kind of content than the items are.
    """
    _check_kind(folder, items)
    registry = load_models(folder.path)
    runtime = Runtime(registry, Decoder() if items[0].path else None)
    try:
        return run_with(runtime, registry, items, progress)
    finally:
        runtime.close()


def run_with(
    runtime: Runtime, registry: Registry, items: Sequence[Labelled], progress: Progress
) -> Measured:
    """Run the registry's one model over the items."""
    source = ManifestSource(items, registry.folders[0], progress)
    runtime.drain(source)
    return source.measured


def _judged_as(path: Path, modality: Modality) -> Modality:
    """Return as what a file is decoded: for a picture model a video is its frames."""
    with path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    is_video = modality == Modality.IMAGE and found and found.modality == Modality.VIDEO
    return Modality.VIDEO if is_video else modality


def _check_kind(folder: ModelFolder, items: Sequence[Labelled]) -> None:
    judges_text = folder.modality == Modality.TEXT
    for item in items:
        if judges_text != (item.text is not None):
            wanted, given = ("text", "file") if judges_text else ("file", "text")
            raise ManifestUnusable(
                f"Line {item.line}: {folder} judges {folder.modality}, so the column {wanted} must "
                f"be filled, not {given}."
            )


# --- Which model ---------------------------------------------------------------------------------


def find(root: Path, *, task: str | None = None, model: str | None = None) -> ModelFolder:
    """Return the one model folder under `root` that is meant.

    `model` is NAME, NAME@VERSION, or the path of a model folder anywhere; `task` what it claims.
    Raises ModelUnusable when none or several fit, naming what is there.
    """
    if model and (Path(model) / MANIFEST).is_file():
        return _of_task([ModelFolder.load(Path(model))], task, model)
    if not root.is_dir():
        raise ModelUnusable(f"{root} is no folder of models.")
    paths = sorted(manifest.parent for manifest in root.rglob(MANIFEST))
    folders = [ModelFolder.load(path) for path in paths]
    if model:
        fitting = [folder for folder in folders if model in {folder.name, str(folder)}]
        return _of_task(fitting, task, model, folders)
    return _of_task(folders, task, f"the task {task!r}", folders)


def _of_task(
    folders: Sequence[ModelFolder],
    task: str | None,
    wanted: str,
    there: Sequence[ModelFolder] = (),
) -> ModelFolder:
    fitting = [folder for folder in folders if task in {None, folder.task}]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{folder} ({folder.task})" for folder in there or folders) or "none"
    if not fitting:
        raise ModelUnusable(f"No model for {wanted}; there are: {known}.")
    raise ModelUnusable(f"Several models fit {wanted}; choose with --model: {known}.")
