"""Keeps the drawings of a score's evidence in the storage, and removes them with the score.

`evidence/<score id>/<name>-<first of its sha256>.png`: private like the content itself, read only
through `read`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypedDict

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models.signals import post_delete

from detection.models import DetectorScore
from inference_worker.drawing.values import Drawing


class Kept(TypedDict):
    """A stored drawing, as the score's evidence names it."""

    name: str
    title: str
    file: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    alt: str
    shows_content: bool
    plot: dict[str, float] | None
    """Edges of the time line as shares of the width, and their seconds; see drawing.values.Plot."""


def keep(score_id: int, drawings: Sequence[Drawing]) -> list[Kept]:
    """Store drawings of one score; return how they are named."""
    return [_keep(score_id, drawing) for drawing in drawings]


def _keep(score_id: int, drawing: Drawing) -> Kept:
    sha256 = hashlib.sha256(drawing.png).hexdigest()
    wanted = f"evidence/{score_id}/{drawing.name}-{sha256[:16]}.png"
    default_storage.delete(wanted)  # left by an attempt that was interrupted
    return Kept(
        name=drawing.name,
        title=drawing.title,
        file=default_storage.save(wanted, ContentFile(drawing.png)),
        sha256=sha256,
        size_bytes=len(drawing.png),
        width=drawing.width,
        height=drawing.height,
        alt=drawing.alt,
        shows_content=drawing.shows_content,
        plot=asdict(drawing.plot) if drawing.plot else None,
    )


def read(drawing: Kept) -> bytes:
    """Return a stored drawing. Raises FileNotFoundError."""
    with default_storage.open(drawing["file"]) as file:
        content: bytes = file.read()
        return content


def remove(drawings: Iterable[Kept]) -> None:
    """Delete stored drawings; what is already gone is no error."""
    for drawing in drawings:
        default_storage.delete(drawing["file"])


def _with_score(instance: DetectorScore, **_: Any) -> None:
    """Delete the drawings of a score that was deleted, be it with its submission."""
    if drawings := instance.evidence.get("drawings"):
        transaction.on_commit(partial(remove, drawings))


def connect() -> None:
    """Watch for deleted scores."""
    post_delete.connect(_with_score, sender=DetectorScore, dispatch_uid="evidence-files")
