"""Writes docs/detectors.md: `python -m inference_worker.training.overview > docs/detectors.md`.

Every figure on that page is read from the kilinda.json of a verified model folder; none is typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference_worker.registry import MANIFEST, ModelFolder

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
- In **mean over groups** the AUC is the mean of the groups' AUCs; in **all together** the content
  of all groups is ranked in one list, which is harder.
- The threshold of a model is used by these figures alone. Which score means which risk level is a
  matter of policy: [administrator-guide.md](administrator-guide.md).
"""

PURPOSES = {
    "abuse": "Abusive language: insults, hate or threats in a text.",
    "synthetic_speech": "Synthetic or converted speech, in recordings and the sound of videos.",
    "synthetic_image": "AI-generated imagery, in pictures and the frames of videos.",
}
"""What a high score claims, by task."""

HEADINGS = {
    "unseen_sources": "Sources the measured model never saw",
    "reserved_texts_of_seen_sources": "Reserved texts of sources it learned from (easier)",
    "left_out": "Groups the measured model never saw",
    "left_out_damaged": "The same groups after random damage, as files suffer on their way",
}
"""What a set of figures was measured on; a set with another name is shown under that name."""

UNKNOWN_LANGUAGE = "und"


def page(models: Path) -> str:
    """Return the page about every model folder below `models`, as Markdown.

    Raises ModelUnusable when a folder does not verify.
    """
    paths = sorted(manifest.parent for manifest in models.rglob(MANIFEST))
    folders = [ModelFolder.load(path) for path in paths]
    sections = [INTRODUCTION, _summary(folders), *(_section(folder) for folder in folders)]
    return "\n".join(sections)


def _summary(folders: Sequence[ModelFolder]) -> str:
    rows = [_summary_row(folder) for folder in folders]
    return "\n".join(["## At a glance", "", *_table(_SUMMARY_COLUMNS, rows), ""])


_SUMMARY_COLUMNS = ("model", "claims", "size", "mean AUC over unseen groups", "n")


def _summary_row(folder: ModelFolder) -> list[str]:
    first = next(iter(folder.metrics.values()), None)
    auc, count = (_figure(first, "macro_auc"), str(first["n"])) if first else ("-", "-")
    name = f"[{folder.name}](#{folder.name}) {folder.version}"
    return [name, folder.task, _megabytes(folder), auc, count]


def _section(folder: ModelFolder) -> str:
    card = f"../inference_worker/models/{folder.path.name}/model-card.md"
    facts = _table(("", ""), _facts(folder))
    figures = [line for name, report in folder.metrics.items() for line in _report(name, report)]
    about = [
        PURPOSES.get(folder.task, f"Claims: {folder.task}."),
        "",
        f"Training data with their licences, known weaknesses and method: [model card]({card}).",
    ]
    return "\n".join([f"## {folder.name}", "", *about, "", *facts, "", *figures])


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
    ]


def _megabytes(folder: ModelFolder) -> str:
    size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    return f"{size / 1_000_000:.1f} MB"


def _report(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one set of figures: all of it, then by source and by language."""
    yield from (f"**{HEADINGS.get(name, name.replace('_', ' '))}**", "")
    yield from _table(_FIGURE_COLUMNS, _figure_rows(report))
    yield ""


_FIGURE_COLUMNS = ("group", "n", "not judged", "AUC", "EER", "macro-F1", "ECE")


def _figure_rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    mean = _figure(report, "macro_auc")
    yield ["mean over groups", str(report["n"]), str(report["abstained"]), mean, "", "", ""]
    yield _figure_row("all together", report)
    for source, row in report["by_source"].items():
        yield _figure_row(source, row)
    for language, row in report["by_language"].items():
        if language not in {"", UNKNOWN_LANGUAGE}:
            yield _figure_row(f"language {language}", row)


def _figure_row(group: str, row: Mapping[str, Any]) -> list[str]:
    figures = [_figure(row, name) for name in ("auc", "eer", "macro_f1", "ece")]
    return [group, str(row["n"]), str(row["abstained"]), *figures]


def _figure(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    low, high = row["intervals"][name]
    return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"


def _table(columns: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> list[str]:
    rule = "---|" * len(columns)
    return [_line(columns), f"|{rule}", *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def main() -> None:
    """Print the page about the bundled models, or about those of --models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with model folders")
    print(page(parser.parse_args().models), end="")


if __name__ == "__main__":
    main()
