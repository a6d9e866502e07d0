"""What kind of picture it is, as far as a picture detector must know before it judges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

CELL = 8
"""Side of the squares that are looked at, in pixels."""
FLAT = 4
"""Levels between the darkest and the brightest pixel of a square that counts as one colour."""


def contrast(pixels: Pixels) -> float:
    """Return the standard deviation of the most varied colour channel, in levels."""
    return float(pixels.reshape(-1, 3).std(axis=0, dtype=np.float32).max())


def flat_share(pixels: Pixels) -> float:
    """Return the share of squares of CELL pixels that are of one colour, 0..1.

    Drawn interfaces, slides and text on a page are mostly flat; photographs hardly are, because
    sensors have noise.
    """
    rows, columns = pixels.shape[0] // CELL, pixels.shape[1] // CELL
    if not rows or not columns:
        return 0.0
    squares = pixels[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, 3)
    spread = squares.max(axis=(1, 3)).astype(np.int16) - squares.min(axis=(1, 3))
    return float((spread.max(axis=2) <= FLAT).mean())
