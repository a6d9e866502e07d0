"""Writes docs/detectors.md: `python -m inference_worker.training.overview > docs/detectors.md`.

Every figure on that page is read from the kilinda.json of a verified model folder; none is typed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_worker.faithfulness import sentence
from inference_worker.registry import MANIFEST, ModelFolder
from inference_worker.reliability import ALL, Grade, grade
from inference_worker.training import overview_tables as tables
from inference_worker.training.overview_tables import figure, table

MODELS = Path(__file__).resolve().parents[1] / "models"

INTRODUCTION = """\
# The bundled detectors

This page is generated; do not edit it. After a model changed, write it again:

```
.venv/bin/python -m inference_worker.training.overview > docs/detectors.md
```

A detector's score is a calibrated probability that its label is true of the content. It is a reason
for a person to look, not a proof. A detector says "cannot judge" when the content fails one of its
gates; the score is null then, and a finding says why.

## How to read the figures

- The models were measured on whole sources, generators or data sets that the measured model had
  never seen, because random splits of one data set overstate how good a model is. Where a table is
  about something else, its heading says so.
- **AUC** is the chance that content of the label scores higher than content without it: 0.5 is
  guessing, 1 is perfect. **EER** is the error rate where misses and false alarms are equally
  frequent. **Macro-F1** is taken at the model's own threshold. **ECE** is how far, on average,
  the stated probability is from the observed frequency.
- **n** counts the items, **not judged** those of them the detector declined, which enter no figure.
  In brackets: 95 % bootstrap interval. A dash means that the figure is undefined there, for
  example because a group has content of one class only.
- **Precision** is the share of what lies at the model's threshold or above that is truly of the
  label.
- **Grades** say what a reliability is worth: *unproven* where the interval of the AUC reaches down
  to 0.5 (guessing), *weak* below 0.70, *fair* below 0.85, *strong* from there. Each score carries
  the grade of the weakest group its content belongs to, or *unmeasured* where one of its groups has
  no line here. How to measure on your own content: [evaluating.md](evaluating.md).
- In **mean over groups** the AUC is the mean of the groups' AUCs; in **all together** the content
  of all groups is ranked in one list, which is harder.
- The threshold of a model is used by these figures alone. Which score means which risk level is a
  matter of policy: [administrator-guide.md](administrator-guide.md).
"""

PURPOSES = {
    "abuse": "Abusive language: insults or hate in a text; threats count as either.",
    "machine_text": "Machine-written English text: a finding of its own that feeds no score.",
    "synthetic_speech": "Synthetic or converted speech, in recordings and the sound of videos.",
    "synthetic_image": "AI-generated imagery, in pictures and the frames of videos.",
    "manipulated_image": "Parts copied within a picture, or pasted into it from elsewhere.",
}
"""What a high score claims, by task."""

HEADINGS = {
    "unseen_sources": "Sources the measured model never saw",
    "reserved_texts_of_seen_sources": "Reserved texts of sources it learned from (easier)",
    "functional": "Functional tests: own sentences, by what each of them does",
    "left_out": "Groups the measured model never saw",
    "left_out_photos": "Those of them in which both classes are photographs or look like it",
    "left_out_conditions": "A share of the same pictures under single conditions, judged as unseen",
    "conditions": "A share of the same clips under single conditions, judged as unseen",
    "heard_conditions": "The same by the condition the detector itself tells, as scores name it "
    "(a clip counts once for each condition it was put under: intervals are too narrow)",
    "left_out_damaged": "The same groups after random damage, as files suffer on their way",
}
"""What a set of figures was measured on; a set with another name is shown under that name."""


@dataclass(frozen=True, slots=True)
class Described:
    """A verified folder, and all that its kilinda.json says."""

    folder: ModelFolder
    stated: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Described:
        """Read and verify a folder. Raises ModelUnusable."""
        folder = ModelFolder.load(path)
        return cls(folder, json.loads((path / MANIFEST).read_text(encoding="utf-8")))


def page(models: Path) -> str:
    """Return the page about every model folder below `models`, as Markdown.

    Raises ModelUnusable when a folder does not verify.
    """
    paths = sorted(manifest.parent for manifest in models.rglob(MANIFEST))
    described = [Described.read(path) for path in paths]
    return "\n".join([INTRODUCTION, _summary(described), *map(_section, described)])


def _summary(described: Sequence[Described]) -> str:
    rows = [_summary_row(each) for each in described]
    return "\n".join(["## At a glance", "", *table(_SUMMARY_COLUMNS, rows), ""])


_SUMMARY_COLUMNS = (
    "model",
    "claims",
    "size",
    "mean AUC over unseen groups",
    "ECE",
    "n",
    "by language and condition",
)


def _summary_row(each: Described) -> list[str]:
    folder = each.folder
    first = next((r for r in folder.metrics.values() if "macro_auc" in r), None)
    figures = (
        [figure(first, "macro_auc"), figure(first, "ece"), str(first["n"])] if first else ["-"] * 3
    )
    name = f"[{folder.name}](#{folder.name}) {folder.version}"
    return [name, folder.task, _megabytes(folder), *figures, _grades(folder)]


def _grades(folder: ModelFolder) -> str:
    """Return the grades of the measured groups in one cell: "strong: en; weak: sw"."""
    by_grade: dict[str, list[str]] = {}
    for group, measured in folder.reliability.items():
        if group != ALL:
            by_grade.setdefault(grade(measured).value, []).append(group.partition(":")[2])
    return (
        "; ".join(
            f"{name}: {', '.join(sorted(by_grade[name]))}" for name in Grade if name in by_grade
        )
        or "-"
    )


def _section(each: Described) -> str:
    folder = each.folder
    card = f"../inference_worker/models/{folder.path.name}/model-card.md"
    about = [
        PURPOSES.get(folder.task, f"Claims: {folder.task}."),
        "",
        f"Training data with their licences, known weaknesses and method: [model card]({card}).",
    ]
    return "\n".join(
        [
            f"## {folder.name}",
            "",
            *about,
            "",
            *table(("", ""), _facts(folder)),
            "",
            *tables.reliability(folder),
            *tables.previous(each.stated),
            *tables.calibration(folder),
            *tables.faithfulness(each.stated),
            *(line for name, report in folder.metrics.items() for line in _report(name, report)),
        ]
    )


def _facts(folder: ModelFolder) -> list[list[str]]:
    return [
        ["version", folder.version],
        ["judges", f"{folder.modality} (detector `{folder.detector}`)"],
        ["label", f"`{folder.task}`"],
        ["size", _megabytes(folder)],
        ["measured languages", ", ".join(folder.languages) or "language does not matter"],
        ["gates", ", ".join(f"`{name}` {value:g}" for name, value in folder.gates.items()) or "-"],
        ["calibration", str(folder.calibration)],
        ["threshold", f"{folder.threshold:.2f}"],
        *_faithfulness(folder),
    ]


def _faithfulness(folder: ModelFolder) -> list[list[str]]:
    """Return what the deletion test found, where the folder was put to it."""
    found = folder.training.get("faithfulness")
    return [["evidence", sentence(found)]] if found else []


def _megabytes(folder: ModelFolder) -> str:
    size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    return f"{size / 1_000_000:.1f} MB"


def _report(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one set of figures; of a set that is none, its numbers."""
    yield from (f"**{HEADINGS.get(name, name.replace('_', ' '))}**", "")
    if "macro_auc" in report:
        yield from table(tables.FIGURE_COLUMNS, tables.figure_rows(report))
    else:
        yield from table(("", ""), tables.plain_rows(report))
    yield ""


def main() -> None:
    """Print the page about the bundled models, or about those of --models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with model folders")
    print(page(parser.parse_args().models), end="")


if __name__ == "__main__":
    main()
