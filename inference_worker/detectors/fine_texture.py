"""What the image detector sees: scale-free statistics of a crop's fine texture.

With little training data, fixed statistics generalise to unseen generators better than a network
that learns from the pixels themselves. They are relative to the picture's own noise and contrast,
and nearly all of brightness alone: absolute strengths and colours tell data sets apart rather than
cameras from generators (see the model card).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

FRONT_END = "fine_texture"
"""What the folder of a model over these statistics names."""
CROP = 224
"""Side of the square the statistics are taken over, in pixels."""
BLOCK = 8
STRIDE = 3
"""Of the blocks; no divisor of 8, so that the grid of JPEG falls on every phase."""
LEVELS = 2
"""Residuals are rounded to -LEVELS..LEVELS before their neighbourhoods are counted."""
SCALES = 4
"""Of the wavelets, each half as fine as the one before."""
STATISTICS = 5 * (2 * LEVELS + 1) ** 3 + SCALES * 3 * 4 + 3 * (BLOCK**2 - 1)

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)
_DEVIATION = 1.4826
"""Median absolute value to standard deviation, for a normal distribution."""
_LEAST_STEP = 0.3


def texture_statistics(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the statistics of one crop of shape (CROP, CROP, 3), shape (STATISTICS,)."""
    planes = np.moveaxis(pixels.astype(np.float32) @ _YCBCR.T, -1, 0)
    parts = (_neighbourhoods(planes[0]), _wavelets(planes[0]), _peakedness(_halved(planes)))
    return np.concatenate(parts).astype(np.float32)


def _neighbourhoods(luma: Floats) -> Floats:
    """How often triples of neighbouring residuals occur (Fridrich & Kodovsky 2012)."""
    rough = _laplacian(luma)
    residuals = (
        (np.diff(luma, axis=1), 1.0),
        (np.diff(luma, axis=0).T, 1.0),
        (np.diff(luma, n=2, axis=1), 1.0),
        (rough, 1.0),
        (rough, 2.0),
    )
    return np.concatenate([_triples(residual, width) for residual, width in residuals])


def _laplacian(luma: Floats) -> Floats:
    """Difference from the eight neighbours; blind to slopes (Immerkaer 1996)."""
    across = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    found: Floats = across[:-2] - 2 * across[1:-1] + across[2:]
    return found


def _triples(residual: Floats, width: float) -> Floats:
    """Share of each triple of levels, `width` typical residuals apart; square roots."""
    typical = _DEVIATION * float(np.median(np.abs(residual)))
    step = max(typical * width, _LEAST_STEP)
    base = 2 * LEVELS + 1
    levels = np.clip(np.rint(residual / step), -LEVELS, LEVELS).astype(np.int32) + LEVELS
    code = (levels[:, :-2] * base + levels[:, 1:-1]) * base + levels[:, 2:]
    counts = np.bincount(code.ravel(), minlength=base**3)
    shares: Floats = np.sqrt(counts / code.size)
    return shares


def _wavelets(luma: Floats) -> Floats:
    """Strength and shape of the Haar details at SCALES scales, in three directions."""
    found: list[float] = []
    plane = luma
    for _ in range(SCALES):
        a, b, c, d = (plane[i::2, j::2] for j in (0, 1) for i in (0, 1))
        for detail in ((a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2):
            found += _shape(detail)
        plane = (a + b + c + d) / 4
    return np.array(found, np.float32)


def _shape(detail: Floats) -> list[float]:
    """Log mean size, and three measures of how heavy the tails are."""
    size = np.abs(detail)
    mean, power = float(size.mean()), float((detail**2).mean())
    tails = np.log((detail**4).mean() + 0.01) / 2 - np.log(power + 0.1)
    spread = np.log(detail.std() + 0.05) - np.log(mean + 0.05)
    return [np.log(mean + 0.05), tails, spread, float(np.median(size)) / (mean + 0.05)]


def _halved(planes: Floats) -> Floats:
    """Return the planes at half their size, by means of two by two pixels."""
    count, height, width = planes.shape
    squares = planes.reshape(count, height // 2, 2, width // 2, 2)
    found: Floats = squares.mean(axis=(2, 4))
    return found


def _peakedness(planes: Floats) -> Floats:
    """How heavy the tails of each DCT coefficient of the three planes are."""
    views = np.lib.stride_tricks.sliding_window_view(planes, (BLOCK, BLOCK), axis=(1, 2))
    blocks = views[:, ::STRIDE, ::STRIDE].reshape(3, -1, BLOCK, BLOCK)
    sizes = np.abs(dctn(blocks, axes=(2, 3), norm="ortho")).reshape(3, -1, BLOCK**2)[..., 1:]
    mean = sizes.mean(axis=1)
    peaked: Floats = np.log((sizes**2).mean(axis=1) + 1e-2) - 2 * np.log(mean + 1e-1)
    return peaked.ravel()
