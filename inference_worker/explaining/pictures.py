"""Which places of a picture raise a score: each is smoothed away in turn. And its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, median_filter

from inference_worker.explaining.judging import Asked, Floats
from inference_worker.types import Picture

CELLS = 8
"""Along the longer side of a picture; the shorter one has as many as keep cells nearly square."""
AT_ONCE = 8
"""Changed pictures held in memory together."""
SMOOTHING = 6.0
"""Pixels, standard deviation: takes the fine texture that generators are told by, and leaves light
and colour, so that the model does not see a hole it was never trained on."""
FEATHER = 2.0
"""Pixels over which a smoothed cell passes into its surroundings: an edge would be evidence too."""
NOISE_WINDOW = 3
"""Side of the median filter whose remainder is called noise, in pixels."""


@dataclass(frozen=True, slots=True)
class PictureEvidence:
    """How far the log odds fall without each place, shape (rows, columns), NaN: not judged then."""

    falls: Floats
    log_odds: float


def explain_picture(ask: Asked, content: Picture) -> PictureEvidence:
    """Smooth the cells of the whole picture away, one after another, and ask again each time."""
    rows, columns = grid(content)
    smooth = smoothed(content.pixels)
    (whole,) = ask([content])
    take_away = partial(without_cells, content, smooth, rows=rows, columns=columns)
    falls = np.full(rows * columns, np.nan)
    for at in range(0, len(falls), AT_ONCE):
        some = range(at, min(at + AT_ONCE, len(falls)))
        falls[at : at + AT_ONCE] = whole - ask([take_away([place]) for place in some])
    return PictureEvidence(falls.reshape(rows, columns), float(whole))


def grid(content: Picture) -> tuple[int, int]:
    """Return how many rows and columns of cells a picture has."""
    height, width = content.pixels.shape[:2]
    longest = max(height, width)
    return max(1, round(CELLS * height / longest)), max(1, round(CELLS * width / longest))


def smoothed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the picture without its fine texture, float32."""
    blurred = gaussian_filter(pixels.astype(np.float32), (SMOOTHING, SMOOTHING, 0))
    return np.asarray(blurred, np.float32)


def without_cells(
    content: Picture,
    smooth: npt.NDArray[np.float32],
    places: list[int],
    *,
    rows: int,
    columns: int,
) -> Picture:
    """Return the picture with the cells at `places` (row by row) smoothed."""
    height, width = content.pixels.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for place in places:
        top, bottom = (height * (place // columns + n) // rows for n in (0, 1))
        left, right = (width * (place % columns + n) // columns for n in (0, 1))
        mask[top:bottom, left:right] = 1
    soft = gaussian_filter(mask, FEATHER)[:, :, None]
    mixed = content.pixels * (1 - soft) + smooth * soft
    return replace(content, pixels=np.rint(mixed).clip(0, 255).astype(np.uint8))


def noise(content: Picture, *, width: int, height: int) -> npt.NDArray[np.float32]:
    """Return the strength of the noise residual at each of (height, width) places, in grey levels.

    The residual is the brightness less its median over 3 x 3 pixels; its strength is the root mean
    square over the pixels of a place. Pasted, smoothed or generated areas often differ in it.
    """
    brightness = content.pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    square = (brightness - median_filter(brightness, NOISE_WINDOW)) ** 2
    return np.sqrt(_averaged(square, height, width))


def _averaged(values: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Return means over (height, width) equal blocks; at most the size of `values`."""
    down = np.linspace(0, values.shape[0], height + 1).astype(int)
    across = np.linspace(0, values.shape[1], width + 1).astype(int)
    sums = np.add.reduceat(np.add.reduceat(values, down[:-1], axis=0), across[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(down), np.diff(across)), np.float32)
