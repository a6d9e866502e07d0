"""What the image detector sees: statistics of a crop's fine texture and colour, never its size.

With little training data, fixed statistics generalise to unseen generators better than a network
that learns from the pixels themselves (see the model card).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

CROP = 224
"""Side of the square the statistics are taken over, in pixels."""
BLOCK = 8
STRIDE = 5
"""Of the blocks; no divisor of 8, so that the grid of JPEG falls on every phase."""
RINGS = 32
LEVELS = 2
"""Residuals are rounded to -LEVELS..LEVELS before their neighbourhoods are counted."""
STATISTICS = 4 * (BLOCK**2 - 1) + RINGS + 3 * (2 * LEVELS + 1) ** 3 + 12

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)


def texture_statistics(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the statistics of one crop of shape (CROP, CROP, 3), shape (STATISTICS,)."""
    planes = np.moveaxis(pixels.astype(np.float32) @ _YCBCR.T, -1, 0)
    parts = (
        _block_frequencies(planes),
        _spectrum_rings(planes[0]),
        _neighbourhoods(planes[0]),
        _colours(pixels.astype(np.float32), planes),
    )
    return np.concatenate(parts).astype(np.float32)


def _block_frequencies(planes: Floats) -> Floats:
    """Log mean size of each DCT coefficient of the three planes, and of Y how peaked it is."""
    views = np.lib.stride_tricks.sliding_window_view(planes, (BLOCK, BLOCK), axis=(1, 2))
    blocks = views[:, ::STRIDE, ::STRIDE].reshape(3, -1, BLOCK, BLOCK)
    sizes = np.abs(dctn(blocks, axes=(2, 3), norm="ortho")).reshape(3, -1, BLOCK**2)[..., 1:]
    mean = sizes.mean(axis=1)
    peaked = np.log((sizes[0] ** 2).mean(axis=0) + 1e-2) - 2 * np.log(mean[0] + 1e-1)
    return np.concatenate([np.log(mean + 0.05).ravel(), peaked])


def _spectrum_rings(luma: Floats) -> Floats:
    """Log power in RINGS rings of spatial frequency, relative to their mean."""
    side = len(luma)
    window = np.hanning(side)[:, None] * np.hanning(side)
    power = np.abs(np.fft.rfft2((luma - luma.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    ring = np.minimum((radius * 2 * RINGS).astype(int), RINGS)
    total = np.bincount(ring.ravel(), power.ravel(), RINGS + 1)[:RINGS]
    rings = np.log(total / np.bincount(ring.ravel(), minlength=RINGS + 1)[:RINGS] + 1.0)
    relative: Floats = rings - rings.mean()
    return relative


def _neighbourhoods(luma: Floats) -> Floats:
    """How often triples of neighbouring rounded residuals occur (Fridrich & Kodovsky 2012)."""
    first_across, first_down = np.diff(luma, axis=1), np.diff(luma, axis=0).T
    second = np.diff(luma, n=2, axis=1)
    return np.concatenate(
        [_triples(first_across, 2.0), _triples(first_down, 2.0), _triples(second, 2.0)]
    )


def _triples(residual: Floats, step: float) -> Floats:
    base = 2 * LEVELS + 1
    levels = np.clip(np.rint(residual / step), -LEVELS, LEVELS).astype(int) + LEVELS
    code = (levels[:, :-2] * base + levels[:, 1:-1]) * base + levels[:, 2:]
    counts = np.bincount(code.ravel(), minlength=base**3)
    shares: Floats = np.sqrt(counts / code.size)
    return shares


def _colours(pixels: Floats, planes: Floats) -> Floats:
    """Spread and skewness of the planes, and how alike the channels' fine detail is."""
    centred = planes - planes.mean(axis=(1, 2), keepdims=True)
    spread = centred.std(axis=(1, 2))
    skewness = (centred**3).mean(axis=(1, 2)) / np.maximum(spread, 1.0) ** 3
    detail = np.diff(pixels, axis=1).reshape(-1, 3)
    strength = detail.std(axis=0)
    alike = (detail.T @ detail / len(detail)) / np.maximum(np.outer(strength, strength), 0.25)
    pairs = alike[[0, 0, 1], [1, 2, 2]]
    return np.concatenate([np.log(spread + 1), skewness, pairs, np.log(strength + 0.1)])
