"""Keeps the figures of the version before in a model folder, for docs/detectors.md to compare.

`python -m inference_worker.training.previous --model FOLDER --before OLD/kilinda.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_worker.registry import MANIFEST, ModelFolder
from inference_worker.training.packaging import seal

KEPT = ("n", "abstained", "auc", "macro_auc", "ece", "macro_f1")
GROUPS = ("by_source", "by_language", "by_condition")


def keep(folder: Path, before: Mapping[str, Any]) -> ModelFolder:
    """Put what `before`, an older kilinda.json, measured into the folder's, and seal it again.

    Raises ValueError when it is of another model or of the same version.
    """
    stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if before["name"] != stated["name"] or before["version"] == stated["version"]:
        wanted = f"another version of {stated['name']} than {stated['version']}"
        raise ValueError(f"{before['name']}@{before['version']} is not {wanted}")
    measured = {name: _short(report) for name, report in before["metrics"].items()}
    stated["previous"] = {"version": before["version"], "metrics": measured}
    return seal(folder, stated)


def _short(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that are compared, by group."""
    groups = {by: {k: _figures(v) for k, v in report.get(by, {}).items()} for by in GROUPS}
    return {**_figures(report), **groups}


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    intervals = {k: v for k, v in row.get("intervals", {}).items() if k in KEPT}
    return {**{name: row.get(name) for name in KEPT}, "intervals": intervals}


def main() -> None:
    """Parse the options and seal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--before", type=Path, required=True, help="old kilinda.json")
    options = parser.parse_args()
    before = json.loads(options.before.read_text(encoding="utf-8"))
    print(f"Sealed {keep(options.model, before)}")


if __name__ == "__main__":
    main()
