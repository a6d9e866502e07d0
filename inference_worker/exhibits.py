"""The evidence for one score, whatever it is of: facts for programs, drawings for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference_worker.drawing.pictures import draw_heatmap, draw_map, draw_noise, draw_picture
from inference_worker.drawing.sounds import draw_seconds, draw_window
from inference_worker.drawing.values import Drawing, Stamp
from inference_worker.drawing.videos import draw_frames
from inference_worker.errors import InferenceError
from inference_worker.explaining.judging import Floats, asker
from inference_worker.explaining.pictures import explain_picture
from inference_worker.explaining.sounds import BANDS_HERTZ, SLICES, explain_sound
from inference_worker.explaining.videos import explain_video
from inference_worker.types import (
    Content,
    Detector,
    Explains,
    Footage,
    MapEvidence,
    Passage,
    Picture,
    Recording,
    Score,
    WordEvidence,
)


class Inexplicable(InferenceError):
    """This detector cannot say what its score rests on."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Evidence ready to be kept."""

    method: str
    """integrated_gradients | occlusion | localisation | window_scores"""
    facts: dict[str, Any]
    """JSON-like; what it holds depends on the kind of content."""
    drawings: tuple[Drawing, ...] = ()


def exhibit(detector: Detector, content: Content, score: Score, stamp: Stamp) -> Exhibit:
    """Explain a score that `detector` gave `content`. Raises Inexplicable."""
    match content:
        case Passage():
            return _of_text(detector, content, score)
        case Recording():
            return _of_sound(detector, content, score, stamp)
        case Picture():
            return _of_picture(detector, content, score, stamp)
        case Footage():
            return _of_video(detector, content, score, stamp)


def _of_text(detector: Detector, content: Passage, score: Score) -> Exhibit:
    found = detector.explain(content, score) if isinstance(detector, Explains) else None
    if not isinstance(found, WordEvidence):
        raise Inexplicable
    facts = {
        "start": found.start,
        "end": found.end,
        "log_odds": round(found.log_odds, 4),
        "blank_log_odds": round(found.blank_log_odds, 4),
        "gap": round(found.gap, 4),
        "words": [
            {"start": word.start, "end": word.end, "weight": round(word.weight, 4)}
            for word in found.words
        ],
    }
    return Exhibit("integrated_gradients", facts)


def _of_sound(detector: Detector, content: Recording, score: Score, stamp: Stamp) -> Exhibit:
    if not score.segments:
        raise Inexplicable("The score has no windows that could be shown.")
    found = explain_sound(asker(detector), content, score)
    window = draw_window(content, found, stamp)
    facts = {
        "seconds": [None if each is None else round(each, 4) for each in found.seconds],
        "worst": {"start": round(found.start, 3), "end": round(found.end, 3)},
        "falls": None if found.falls is None else _rows(found.falls),
        "bands_hertz": list(BANDS_HERTZ),
        "slices": SLICES,
    }
    drawings = (draw_seconds(content, found, stamp), *([window] if window else []))
    return Exhibit("window_scores", facts, drawings)


def _of_picture(detector: Detector, content: Picture, score: Score, stamp: Stamp) -> Exhibit:
    found = detector.explain(content, score) if isinstance(detector, Explains) else None
    plain, noise = draw_picture(content, stamp), draw_noise(content, stamp)
    if isinstance(found, MapEvidence):
        facts = {"unit": found.unit, "heat": _rows(found.heat), **found.details}
        return Exhibit("localisation", facts, (plain, draw_map(content, found, stamp), noise))
    heat = explain_picture(asker(detector), content)
    facts = {"log_odds": round(heat.log_odds, 4), "falls": _rows(heat.falls)}
    return Exhibit("occlusion", facts, (plain, draw_heatmap(content, heat, stamp), noise))


def _of_video(detector: Detector, content: Footage, score: Score, stamp: Stamp) -> Exhibit:
    if not score.segments or not content.frames:
        raise Inexplicable("The score has no frames that could be shown.")
    found = explain_video(asker(detector), content, score)
    worst = found.segments[found.worst]
    frame = found.frames[found.worst].picture
    title = "What raises the score of the highest frame"
    drawings = (
        draw_frames(found, content.duration_seconds, stamp),
        draw_heatmap(frame, found.picture, stamp, title=title),
    )
    facts = {
        "frames": [asdict(segment) for segment in found.segments],
        "worst": {"start": worst.start, "end": worst.end},
        "falls": _rows(found.picture.falls),
    }
    return Exhibit("occlusion", facts, drawings)


def _rows(values: Floats | np.ndarray[Any, np.dtype[np.float32]]) -> list[list[float | None]]:
    """Return an array of two axes as JSON takes it: rounded, None for what is not a number."""
    return [
        [None if np.isnan(value) else round(float(value), 4) for value in row] for row in values
    ]
