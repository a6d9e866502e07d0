"""Model folders made by the tests: a few bytes of weights, judged by a toy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inference_worker.registry import MANIFEST, ModelFolder, sha256
from tests.inference_worker.toys import WordCounter

DETECTOR = "toy"


class Built(WordCounter):
    """A WordCounter made from a folder; remembers which were. One with the gate `broken` is not."""

    made: list[str] = []

    def __init__(self, folder: ModelFolder) -> None:
        if folder.gates.get("broken"):
            raise KeyError("a key that the folder lacks")
        super().__init__(name=folder.name, version=folder.version, label=folder.task)
        Built.made.append(str(folder))


def write(root: Path, name: str = "words", version: str = "1.0.0", **changed: Any) -> Path:
    """Write a model folder below `root` and return it."""
    folder = root / f"{name}-{version}"
    folder.mkdir(parents=True)
    weights = folder / "model.safetensors"
    weights.write_bytes(f"{name} {version}".encode())
    (folder / "config.json").write_text("{}")
    stated = {
        "name": name,
        "version": version,
        "task": "abuse",
        "modality": "text",
        "detector": DETECTOR,
        "labels": ["fine", "abuse"],
        "calibration": {"slope": 1.0, "offset": 0.0},
        "threshold": 0.5,
        "gates": {},
        "metrics": {"unseen": {"n": 100, "auc": 0.8, "by_source": {"a": 1}}},
        "training": {},
        "files": {file.name: sha256(file) for file in folder.iterdir()},
        **changed,
    }
    (folder / MANIFEST).write_text(json.dumps(stated))
    return folder


def digest(folder: Path) -> str:
    """Return what pins a folder's files."""
    return sha256(folder / MANIFEST)
