"""Evidence as the worker keeps it, for pages to show."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from detection import evidence_files
from detection.models import DetectorScore
from inference_worker.drawing.values import Drawing, Plot


def word_evidence(words: list[dict[str, Any]], *, end: int, start: int = 0) -> dict[str, Any]:
    """Evidence of a text whose words are given as start, end and weight."""
    total = sum(word["weight"] for word in words)
    return {
        "state": "ready",
        "method": "integrated_gradients",
        "computed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "content_sha256": "0" * 64,
        "facts": {
            "start": start,
            "end": end,
            "words": words,
            "log_odds": total + 0.25,
            "blank_log_odds": 0.25,
            "gap": 0.0,
        },
        "drawings": [],
    }


def draw(score: DetectorScore, *names: str, plot: Plot | None = None) -> None:
    """Give a score drawings of one colour each, stored as the worker stores them."""
    drawings = [_drawing(name, shade, plot) for shade, name in enumerate(names)]
    score.evidence = word_evidence([], end=0) | {
        "method": "occlusion",
        "facts": {},
        "drawings": evidence_files.keep(score.pk, drawings),
    }
    score.save(update_fields=["evidence"])


def _drawing(name: str, shade: int, plot: Plot | None) -> Drawing:
    file = io.BytesIO()
    Image.new("RGB", (990, 500), (40 * shade, 90, 120)).save(file, "PNG")
    return Drawing(
        name,
        f"The {name}",
        file.getvalue(),
        990,
        500,
        f"The {name}: 42 percent.",
        plot is None,
        plot,
    )
