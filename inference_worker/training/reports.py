"""Measures left-out predictions, calibrates them, and writes the model folder with its card."""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from inference_worker.calibration import Calibration, stated_of
from inference_worker.detectors.network import Features
from inference_worker.evaluation import Report, Row, evaluate, table
from inference_worker.registry import ModelFolder, sha256
from inference_worker.training.calibrating import choose
from inference_worker.training.fitting import Fitted, Items
from inference_worker.training.packaging import code_commit, seal

WANTED_PRECISION = 0.85
"""Of what the model calls high risk, so many must be right, were both classes equally frequent."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a model says of itself in kilinda.json and its card."""

    name: str
    version: str
    task: str
    modality: str
    detector: str
    labels: tuple[str, str]
    languages: tuple[str, ...]
    gates: Mapping[str, float]
    about: str
    """First paragraphs of the card."""
    limits: str
    """Last section of the card."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a model on groups it never saw, and what follows from them."""

    calibration: Calibration
    threshold: float
    plain: Report
    damaged: Report
    calibrated: Mapping[str, Any]
    """How the form of calibration was chosen."""
    further: Mapping[str, Report] = field(default_factory=dict)
    """More sets of figures by name, such as single conditions."""


def compute(view: Callable[[Any], Features], tasks: Sequence[Any], cache: Path | None) -> Features:
    """Return `view` of each task, stacked, on two cores; read from and kept in `cache` if given."""
    if cache is not None and cache.exists():
        return np.asarray(np.load(cache, allow_pickle=False), np.float32)
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        each = pool.map(view, tasks, chunksize=16)
        found = np.stack(list(tqdm(each, view.__name__, len(tasks), mininterval=10)))
    if cache is not None:
        np.save(cache, found)
    return found


def measure(
    items: Items,
    languages: Sequence[str],
    plain: npt.NDArray[np.float64],
    damaged: npt.NDArray[np.float64],
) -> Measured:
    """Calibrate on the left-out log odds, choose the threshold, and report by group."""
    chosen = choose(plain, items.labels, items.groups)
    calibration = chosen.calibration
    claimed = np.array([calibration.probability(value) for value in plain])
    threshold = careful_threshold(claimed, items.labels)

    def report(odds: npt.NDArray[np.float64]) -> Report:
        return evaluate(
            items.labels.tolist(),
            [calibration.probability(value) for value in odds],
            items.groups.tolist(),
            languages,
            [False] * len(odds),
            threshold=threshold,
        )

    measured = Measured(calibration, threshold, report(plain), report(damaged), chosen.stated())
    print(table(measured.plain), "\nThe same after random damage:", sep="\n")
    print(table(measured.damaged), flush=True)
    return measured


def careful_threshold(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> float:
    """Return the lowest threshold from .5 up at which WANTED_PRECISION of the alarms are right.

    The classes count alike. When no threshold reaches it, the best one up to .95 is returned.
    """

    def precision(threshold: float) -> float:
        called = probabilities >= threshold
        hit, alarm = called[labels == 1].mean(), called[labels == 0].mean()
        return float(hit / (hit + alarm)) if hit >= 0.01 else 0.0

    candidates = np.arange(0.5, 0.951, 0.01).round(2).tolist()
    reached = [value for value in candidates if precision(value) >= WANTED_PRECISION]
    return float(reached[0] if reached else max(candidates, key=precision))


def publish(
    out: Path,
    statement: Statement,
    fitted: Fitted,
    measured: Measured,
    training: Mapping[str, Any],
    sources: str,
) -> ModelFolder:
    """Write weights, statistics, card and kilinda.json; return the verified folder."""
    out.mkdir(parents=True, exist_ok=True)
    fitted.model.config.id2label = dict(enumerate(statement.labels))
    fitted.model.config.label2id = {label: n for n, label in enumerate(statement.labels)}
    fitted.model.save_pretrained(out)
    fitted.statistics.save(out)
    (out / "model-card.md").write_text(_card(statement, measured, sources), encoding="utf-8")
    return seal(
        out,
        {
            "name": statement.name,
            "version": statement.version,
            "task": statement.task,
            "modality": statement.modality,
            "detector": statement.detector,
            "labels": list(statement.labels),
            "languages": list(statement.languages),
            "calibration": stated_of(measured.calibration),
            "threshold": measured.threshold,
            "gates": dict(statement.gates),
            "metrics": {
                "left_out": measured.plain,
                **measured.further,
                "left_out_damaged": measured.damaged,
            },
            "training": {
                **training,
                "calibration": measured.calibrated,
                "code_commit": code_commit(),
            },
        },
    )


def parse_options(purpose: str | None) -> argparse.Namespace:
    """Return data, out, cache and seed from the command line; makes the cache folder."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--data", type=Path, required=True, help="folder with audio/ and image/")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--cache", type=Path, help="folder to keep computed statistics in")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    return options


def fingerprint(manifest: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 of the manifest and one over the sha256 of all files, in order."""
    together = hashlib.sha256()
    for path in files:
        together.update(sha256(path).encode())
    return {"manifest_sha256": sha256(manifest), "files_sha256": together.hexdigest()}


def source_table(rows: Iterable[tuple[str, str, int]]) -> str:
    """Return a Markdown table of (source, licence, label) rows, counted."""
    counted: dict[tuple[str, str], Counter[int]] = {}
    for source, licence, label in rows:
        counted.setdefault((source, licence), Counter())[label] += 1
    lines = [
        f"| {source} | {licence} | {count[0]} | {count[1]} |"
        for (source, licence), count in sorted(counted.items())
    ]
    return "\n".join(["| source | licence | real | synthetic |", "|---|---|---|---|", *lines])


def _card(statement: Statement, measured: Measured, sources: str) -> str:
    return f"""# {statement.name} {statement.version}

{statement.about}

## Measured on what it never saw

Each group below was judged by a model trained without it: no source, speaker set or generator of
it was seen. The shipped model was then trained on all groups, so these figures are the honest ones.
In brackets: 95 % bootstrap interval.

{_figures(measured.plain)}

The same after random damage (codec or JPEG, noise, resampling, bandwidth):

{_figures(measured.damaged)}

Calibrated by {measured.calibration} on the left-out predictions,
groups and classes counting alike. Threshold: {measured.threshold:.2f}, the lowest from .5 up at
which {WANTED_PRECISION:.0%} of the alarms were right (or the best there was), if both classes were
equally frequent. Calibration and threshold were fitted to the predictions that are
reported here, so the calibration error above is a little better than it will be elsewhere.

## Trained on

{sources}

"no licence in repo": the repository states none; such data is used here for training only and is
not part of the project.

## Limits

{statement.limits}
"""


def _figures(report: Report) -> str:
    lines = ["| group | n | AUC | EER | ECE |", "|---|---|---|---|---|"]
    lines += [_line(name, row) for name, row in report["by_source"].items()]
    lines.append(_line("all, pooled", report))
    macro = _cell(report, "macro_auc")
    return "\n".join([*lines, "", f"Mean AUC over the groups: {macro}."])


def _line(name: str, row: Row) -> str:
    cells = " | ".join(_cell(row, metric) for metric in ("auc", "eer", "ece"))
    return f"| {name} | {row['n']} | {cells} |"


def _cell(row: Mapping[str, Any], metric: str) -> str:
    if row[metric] is None:
        return "-"
    low, high = row["intervals"][metric]
    return f"{row[metric]:.3f} [{low:.3f}, {high:.3f}]"
