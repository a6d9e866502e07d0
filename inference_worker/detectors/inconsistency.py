"""What the detector of pasted parts sees: local statistics of a picture on a grid of small cells.

A part from elsewhere has another history of sharpness, noise and compression than its
surroundings, and a border where both meet; these statistics hold both.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CELL = 8
"""Side of a cell in pixels: the block of JPEG."""
QUALITIES = (50, 65, 75, 85, 95)
"""At which the picture is compressed again, for what that changes (Farid 2009, JPEG ghosts)."""
BANDS = 5
LOCAL = 3 + BANDS + 1 + 4 + 1 + 2 * CELL + len(QUALITIES)
CHANNELS = 2 * LOCAL
"""Each local statistic as it is, and against the picture's median."""

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def cell_statistics(pixels: Pixels) -> Floats:
    """Return CHANNELS statistics of every cell, shape (CHANNELS, rows, columns).

    Rows and columns that fill no cell at the right and lower edge are left out.
    """
    rows, columns = pixels.shape[0] // CELL, pixels.shape[1] // CELL
    pixels = pixels[: rows * CELL, : columns * CELL]
    planes = np.moveaxis(pixels.astype(np.float32) @ _YCBCR.T, -1, 0)
    local = np.concatenate(
        [
            _blocks(planes).mean(axis=(2, 4)) / 32.0,
            _frequencies(_blocks(planes)),
            _sharpest(planes[0])[None],
            _steps(planes[0]),
            _steps(planes[0].T).transpose(0, 2, 1),
            _ghosts(planes[0]),
        ]
    )
    median = np.median(local.reshape(LOCAL, -1), axis=1)
    return np.concatenate([local, local - median[:, None, None]]).astype(np.float32)


def _blocks(planes: Floats) -> Floats:
    """Return planes of (n, height, width) as (n, rows, CELL, columns, CELL)."""
    count, height, width = planes.shape
    return planes.reshape(count, height // CELL, CELL, width // CELL, CELL)


def _frequencies(blocks: Floats) -> Floats:
    """Log strength of Y in BANDS bands, across against down, and of both colours in two bands."""
    sizes = np.abs(dctn(blocks, axes=(2, 4), norm="ortho"))
    order = np.add.outer(np.arange(CELL), np.arange(CELL))
    band = np.clip((order - 1) // 2, -1, BANDS - 1)
    luma = [_strength(sizes[0], band == number) for number in range(BANDS)]
    across, down = np.triu(np.ones((CELL, CELL), bool), 1), np.tril(np.ones((CELL, CELL), bool), -1)
    direction = _strength(sizes[0], across) - _strength(sizes[0], down)
    coarse, fine = (order > 0) & (order < 4), order >= 4
    chroma = [_strength(sizes[plane], part) for plane in (1, 2) for part in (coarse, fine)]
    return np.stack([*luma, direction, *chroma])


def _strength(sizes: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Return the log mean of the chosen coefficients of each block, shape (rows, columns)."""
    total = np.einsum("rucv,uv->rc", sizes, chosen.astype(np.float32))
    return np.asarray(np.log(total / chosen.sum() + 0.1), np.float32)


def _sharpest(luma: Floats) -> Floats:
    """Log of the strongest Laplacian in each cell: the hard border of a pasted part."""
    strongest = np.abs(cv2.Laplacian(luma, cv2.CV_32F))
    return np.asarray(np.log(_blocks(strongest[None])[0].max(axis=(1, 3)) + 1), np.float32)


def _steps(luma: Floats) -> Floats:
    """Log mean step between neighbouring columns at each of CELL phases: the grid of JPEG."""
    step = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    phases = _blocks(step[None])[0].mean(axis=1).transpose(2, 0, 1)
    return np.asarray(np.log(phases + 0.2), np.float32)


def _ghosts(luma: Floats) -> Floats:
    """Log of what compressing again at each of QUALITIES changes in each cell."""
    picture = Image.fromarray(np.clip(luma, 0, 255).astype(np.uint8))
    changes = [_blocks(np.abs(luma - _compressed(picture, q))[None])[0] for q in QUALITIES]
    return np.stack([np.log(change.mean(axis=(1, 3)) + 0.1) for change in changes])


def _compressed(picture: Image.Image, quality: int) -> Floats:
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored), np.float32)
