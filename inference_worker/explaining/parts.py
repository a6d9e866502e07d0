"""Content as parts with weights, and how to take parts away: what faithfulness is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from inference_worker.explaining.judging import Asked, Floats
from inference_worker.explaining.pictures import (
    explain_picture,
    grid,
    smoothed,
    without_cells,
)
from inference_worker.explaining.sounds import explain_sound, without_parts
from inference_worker.explaining.videos import without_frames
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What the evidence weighs: words, cells of a picture, times and bands, or frames."""

    whole: Content
    """The content, or of a recording the window that was explained."""
    weights: Floats
    """One a part, shape (n,): how much it raises the score."""
    without: Callable[[Sequence[int]], Content]
    """The content without the parts at these places."""


def parts_of(detector: Detector, ask: Asked, content: Content, score: Score) -> Parts | None:
    """Explain the content as the reviewer would see it; None where there is nothing to weigh."""
    match content:
        case Passage():
            return _words(detector, content, score)
        case Picture():
            return _cells(detector, ask, content, score)
        case Recording():
            return _times_and_bands(ask, content, score)
        case Footage():
            return _frames(content, score)


def _words(detector: Detector, content: Passage, score: Score) -> Parts | None:
    found = detector.explain(content, score) if isinstance(detector, Explains) else None
    if not isinstance(found, WordEvidence):
        return None

    def without(places: Sequence[int]) -> Passage:
        text = content.text
        for word in sorted((found.words[place] for place in places), key=lambda w: -w.start):
            text = text[: word.start] + text[word.end :]
        return replace(content, text=text)

    return Parts(content, np.array([word.weight for word in found.words]), without)


def _cells(detector: Detector, ask: Asked, content: Picture, score: Score) -> Parts:
    """Weigh the cells by the detector's own map if it localises, else by occlusion."""
    rows, columns = grid(content)
    smooth = smoothed(content.pixels)
    without = partial(without_cells, content, smooth, rows=rows, columns=columns)
    found = detector.explain(content, score) if isinstance(detector, Explains) else None
    if isinstance(found, MapEvidence):
        return Parts(content, _on_cells(found.heat, rows, columns).ravel(), without)
    return Parts(content, np.nan_to_num(explain_picture(ask, content).falls.ravel()), without)


def _on_cells(heat: npt.NDArray[np.float32], rows: int, columns: int) -> Floats:
    """Return the mean of a map over each cell of a coarser grid."""
    down, across = (np.arange(n) * m // n for n, m in zip((rows, columns), heat.shape, strict=True))
    sums = np.add.reduceat(np.add.reduceat(heat, down, axis=0), across, axis=1)
    sizes = np.outer(np.diff([*down, heat.shape[0]]), np.diff([*across, heat.shape[1]]))
    return np.asarray(sums / sizes, np.float64)


def _times_and_bands(ask: Asked, content: Recording, score: Score) -> Parts | None:
    found = explain_sound(ask, content, score)
    if found.falls is None:
        return None
    first, last = content.at(found.start), content.at(found.end)
    window = replace(content, samples=content.samples[first:last], stretches=())
    return Parts(window, np.nan_to_num(found.falls.ravel()), partial(without_parts, window))


def _frames(content: Footage, score: Score) -> Parts:
    starts = np.array([segment.start for segment in score.segments])
    scores = np.array([segment.probability for segment in score.segments])
    nearest = [int(np.abs(starts - frame.at_seconds).argmin()) for frame in content.frames]
    return Parts(content, scores[nearest], partial(without_frames, content))
