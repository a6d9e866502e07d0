"""Draws a video: the score of each frame on its time line, and the frames that scored highest."""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from PIL import Image

from inference_worker.drawing.sheet import ACCENT, INK, LINE, SMALL, Sheet, claim, clock, mark_limit
from inference_worker.drawing.values import Drawing, Stamp
from inference_worker.explaining.videos import VideoEvidence
from inference_worker.types import Picture

THUMBNAILS = 4
THUMBNAIL_SIDE = 210
LEFT, WIDTH = 0.75, 7.95


def draw_frames(found: VideoEvidence, duration_seconds: float, stamp: Stamp) -> Drawing:
    """Draw score by frame, the worst segment marked, and thumbnails of the highest frames."""
    sheet = Sheet(
        "The video frame by frame",
        stamp,
        shows=f"the score for {claim(stamp.label)} of each frame that was looked at. The band "
        "marks the segment that scored highest; the lettered frames are the highest.",
        does_not_show="frames between the points, which were not looked at, and nothing of the "
        "sound, which has a score of its own.",
        body_inches=4.1,
    )
    line = sheet.axes(LEFT, 1.95, WIDTH, 2.05)
    length = max(duration_seconds, found.segments[-1].end)
    highest = _highest(found)
    _line(line, found, stamp, length, highest)
    share = WIDTH / THUMBNAILS
    for place, frame in enumerate(highest):
        axes = sheet.axes(LEFT + place * share, 0.28, share - 0.12, 1.12)
        _thumbnail(axes, found, frame, ascii_uppercase[place])
    alt = _alt(found, stamp, highest)
    return sheet.finish("frames", alt, shows_content=True, time=line, seconds=(0.0, length))


def _highest(found: VideoEvidence) -> list[int]:
    """Return the places of the highest frames, in time order."""
    ranked = sorted(range(len(found.segments)), key=lambda at: -found.segments[at].probability)
    return sorted(ranked[:THUMBNAILS])


def _line(
    axes: Axes, found: VideoEvidence, stamp: Stamp, length: float, highest: list[int]
) -> None:
    starts = [segment.start for segment in found.segments]
    scores = [100 * segment.probability for segment in found.segments]
    worst = found.segments[found.worst]
    axes.axvspan(worst.start, worst.end, color="#d1495b", alpha=0.16, linewidth=0)
    axes.plot(starts, scores, color=ACCENT, linewidth=1.8, marker="o", markersize=4, zorder=3)
    mark_limit(axes, stamp)
    for letter, at in zip(ascii_uppercase, highest, strict=False):
        axes.annotate(
            letter,
            (starts[at], scores[at]),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            size=9,
            weight="bold",
            color=INK,
        )
    axes.set(xlim=(0, length), ylim=(0, 112), yticks=range(0, 101, 25))
    axes.set_ylabel("score (%)", size=SMALL)
    axes.set_xlabel("time (min:s)", size=SMALL)
    axes.xaxis.set_major_formatter(FuncFormatter(clock))
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _thumbnail(axes: Axes, found: VideoEvidence, at: int, letter: str) -> None:
    axes.imshow(_small(found.frames[at].picture))
    axes.set_xticks([])
    axes.set_yticks([])
    segment = found.segments[at]
    title = f"{letter}   {clock(segment.start)}   {100 * segment.probability:.0f} %"
    axes.set_xlabel(title, size=SMALL, color=INK, labelpad=3)


def _small(content: Picture) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(content.pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _alt(found: VideoEvidence, stamp: Stamp, highest: list[int]) -> str:
    scores = [segment.probability for segment in found.segments]
    worst = found.segments[found.worst]
    named = ", ".join(
        f"{clock(found.segments[at].start)} ({100 * found.segments[at].probability:.0f} percent)"
        for at in highest
    )
    return (
        f"Score for {claim(stamp.label)} of {len(scores)} frames, {100 * min(scores):.0f} to "
        f"{100 * max(scores):.0f} percent. The segment from {clock(worst.start)} to "
        f"{clock(worst.end)} scored highest. Highest frames: {named}."
    )
