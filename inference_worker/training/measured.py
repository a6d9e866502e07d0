"""Adds an operator's own figures to a model folder, so that each score's reliability rests on them.

`python -m inference_worker.training.measured --model FOLDER --figures figures.json --set NAME
--version NEW`, with the file that `manage.py evaluate --json` wrote.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_worker.registry import MANIFEST, ModelFolder
from inference_worker.training.packaging import seal

NO_FIGURES = frozenset({"comparison", "not_judged"})


def add(folder: Path, figures: Mapping[str, Any], *, name: str, version: str) -> ModelFolder:
    """Put a set of figures before the others, derive the reliability anew, and seal as `version`.

    Raises ValueError when the figures are another model's, or the version or the name is taken.
    """
    stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    measured = f"{stated['name']}@{stated['version']}"
    if figures.get("model") != measured:
        raise ValueError(f"these figures are of {figures.get('model')}, not of {measured}")
    if version == stated["version"]:
        raise ValueError(f"results name {measured}: give another version than {version}")
    if name in stated["metrics"]:
        raise ValueError(f"{measured} has a set of figures named {name!r} already")
    kept = {key: value for key, value in figures.items() if key not in NO_FIGURES}
    stated["metrics"] = {name: kept, **stated["metrics"]}
    stated.pop("reliability", None)
    return seal(folder, {**stated, "version": version})


def main() -> None:
    """Parse the options and seal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder, a copy of its own")
    parser.add_argument("--figures", type=Path, required=True, help="what evaluate --json wrote")
    parser.add_argument("--set", required=True, help="name of the set, such as our-stream-2026")
    parser.add_argument("--version", required=True, help="version of the folder from now on")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    try:
        folder = add(options.model, figures, name=options.set, version=options.version)
    except ValueError as error:
        parser.error(str(error))
    print(f"Sealed {folder}; measured are now: {', '.join(folder.reliability) or 'none'}")


if __name__ == "__main__":
    main()
