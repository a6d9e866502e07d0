"""Make pictures easy to read, and tell cheaply whether there may be anything to read at all.

Reading takes half a second, looking for rows of letters some hundredths of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

Grey = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

LOOKED_AT_SIDE = 1_024
"""The search for letters shrinks the picture to this longest side, in pixels."""

_CELL, _NEIGHBOURS = 8, 9
"""The background is the median of 9 x 9 cells of 8 x 8 pixels: wider than a letter, so that what is
written on a bubble or a banner stands out, whichever of the two is the brighter."""
_STROKE = 40
"""Grey levels from the background at which a pixel is ink."""
_WHITE = 238
"""Brightness of the darkest channel from which a pixel is white, as the letters of a meme are."""

_MOST_BLOBS = 1_500
_LETTER_PIXELS = (6, 200)
"""Least and largest height of a letter in the picture looked at."""
_LEAST_ROW = 5
"""So many letters of one height and colour beside each other are a row."""
LEAST_LETTERS = 10
"""Letters in rows from which there may be text worth reading."""


def grey_of(pixels: npt.NDArray[np.uint8]) -> Grey:
    """Return brightness (ITU-R 601) of RGB pixels of shape (height, width, 3)."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def contrast(grey: Grey) -> Grey:
    """Return how far each pixel is from the background around it, whichever is brighter."""
    height, width = grey.shape
    cells = (max(1, width // _CELL), max(1, height // _CELL))
    small = np.asarray(Image.fromarray(grey).resize(cells, Image.Resampling.BOX))
    middle = ndimage.median_filter(small, size=_NEIGHBOURS, mode="nearest")
    behind = Image.fromarray(middle).resize((width, height), Image.Resampling.BILINEAR)
    far = np.abs(grey.astype(np.int16) - np.asarray(behind, np.int16))
    return far.astype(np.uint8)


def dark_on_light(grey: Grey) -> Grey:
    """Return the picture as black letters on white, also where they were bright on dark."""
    return 255 - np.minimum(contrast(grey), 127) * 2


def white_letters(pixels: npt.NDArray[np.uint8]) -> Grey:
    """Return what is white and of a letter's size as black on white: a meme without its photo."""
    labels, _ = ndimage.label(pixels.min(axis=2) > _WHITE, structure=np.ones((3, 3), bool))
    height, width = labels.shape
    sizes = [(y.stop - y.start, x.stop - x.start) for y, x in ndimage.find_objects(labels)]
    high, wide = np.array(sizes).reshape(-1, 2).T
    is_letter = (high >= height / 80) & (high <= height / 4) & (wide <= width / 3)
    kept = np.concatenate(([False], is_letter))
    return np.where(kept[labels], 0, 255).astype(np.uint8)


def is_photo(grey: Grey) -> bool:
    """Say whether most of the picture has texture, unlike a page or a chat."""
    return bool((contrast(grey) < 8).mean() < 0.75)


def may_have_text(pixels: npt.NDArray[np.uint8]) -> bool:
    """Say whether the picture has rows of what may be letters."""
    return letters(pixels) >= LEAST_LETTERS


def letters(pixels: npt.NDArray[np.uint8]) -> int:
    """Return how many blobs of RGB pixels stand in rows as letters do: printed, or as on a meme."""
    image = Image.fromarray(pixels)
    image.thumbnail((LOOKED_AT_SIDE, LOOKED_AT_SIDE), Image.Resampling.BOX)
    small = np.asarray(image)
    grey = grey_of(small)
    inks = (contrast(grey) > _STROKE, white_letters(small) == 0)
    return max(letters_in_rows(ink, grey) for ink in inks)


@dataclass(frozen=True, slots=True)
class _Blobs:
    """Connected pixels of ink: edges in pixels, and the mean brightness of each."""

    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    top: npt.NDArray[np.float64]
    bottom: npt.NDArray[np.float64]
    brightness: npt.NDArray[np.float64]


def letters_in_rows(ink: Mask, grey: Grey) -> int:
    """Return how many blobs of ink stand in rows as letters do."""
    blobs = _letter_like(ink, grey)
    if len(blobs.left) < _LEAST_ROW:
        return 0
    row_of = _rows(blobs)
    sizes = np.bincount(row_of)
    return int(sizes[sizes >= _LEAST_ROW].sum())


def _letter_like(ink: Mask, grey: Grey) -> _Blobs:
    labels, count = ndimage.label(ink, structure=np.ones((3, 3), bool))
    edges = np.array(
        [(x.start, x.stop, y.start, y.stop) for y, x in ndimage.find_objects(labels)], float
    ).reshape(-1, 4)
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    brightness = np.bincount(labels.ravel(), grey.ravel(), minlength=count + 1)[1:]
    left, right, top, bottom = edges.T
    wide, high = right - left, bottom - top
    filled = pixels / (wide * high)
    least, largest = _LETTER_PIXELS
    fits = (
        (high >= least)
        & (high <= min(largest, ink.shape[0] / 3))
        & (wide >= 2)
        & (wide <= 3 * high)
        & (filled > 0.15)
        & (filled < 0.95)
    )
    kept = np.flatnonzero(fits)[:_MOST_BLOBS]
    return _Blobs(left[kept], right[kept], top[kept], bottom[kept], brightness[kept] / pixels[kept])


def _rows(blobs: _Blobs) -> npt.NDArray[np.intp]:
    """Return for each blob the number of its row: neighbours of like height, place and colour."""
    high = blobs.bottom - blobs.top
    tallest = np.maximum(high[:, None], high[None, :])
    gap = blobs.left[None, :] - blobs.right[:, None]
    beside = (gap > -0.3 * tallest) & (gap < 0.9 * tallest)
    beside &= blobs.left[None, :] > blobs.left[:, None]
    same_foot = np.abs(blobs.bottom[:, None] - blobs.bottom[None, :]) < 0.25 * tallest
    same_height = np.minimum(high[:, None], high[None, :]) > 0.55 * tallest
    same_colour = np.abs(blobs.brightness[:, None] - blobs.brightness[None, :]) < 25
    linked = beside & same_foot & same_height & same_colour
    _, row_of = connected_components(csr_matrix(linked), directed=False)
    return np.asarray(row_of)
