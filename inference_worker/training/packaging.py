"""Closes a trained model folder: kilinda.json with every file's hash, last of all."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_worker import reliability
from inference_worker.registry import MANIFEST, ModelFolder, sha256


def seal(folder: Path, stated: Mapping[str, Any]) -> ModelFolder:
    """Write kilinda.json from `stated` plus the hash of every file; return the verified folder.

    The measured reliability follows from `metrics`, its sets in order of honesty, unless stated.
    """
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    rows = reliability.rows_of(stated["metrics"])
    manifest = {"reliability": rows, **stated, "files": files}
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return ModelFolder.load(folder)


def code_commit() -> str:
    """Return the commit the training code is at, or "unknown" outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    asked = subprocess.run(  # noqa: S603 - a fixed command
        [git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
