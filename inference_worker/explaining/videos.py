"""Which frames of a video score high; the worst one is explained as a picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from inference_worker.explaining.judging import Asked
from inference_worker.explaining.pictures import PictureEvidence, explain_picture
from inference_worker.types import Footage, Frame, Score, Segment


@dataclass(frozen=True, slots=True)
class VideoEvidence:
    """The judged frames in time order, each with its segment, and the worst one's heatmap."""

    segments: tuple[Segment, ...]
    frames: tuple[Frame, ...]
    """The frame that each segment was judged by."""
    worst: int
    """Place of the highest frame in both."""
    picture: PictureEvidence


def explain_video(ask: Asked, content: Footage, score: Score) -> VideoEvidence:
    """Put frames and scores together, and explain the highest frame.

    `ask` is asked about single frames. The content must have frames.
    """
    segments = tuple(sorted(score.segments, key=lambda segment: segment.start))
    times = np.array([frame.at_seconds for frame in content.frames])
    frames = tuple(
        content.frames[int(np.abs(times - segment.start).argmin())] for segment in segments
    )
    worst = int(np.argmax([segment.probability for segment in segments]))
    return VideoEvidence(segments, frames, worst, explain_picture(ask, frames[worst].picture))


def without_frames(content: Footage, places: Collection[int]) -> Footage:
    """Return the video without the frames at `places`."""
    kept = tuple(f for place, f in enumerate(content.frames) if place not in set(places))
    return replace(content, frames=kept)
