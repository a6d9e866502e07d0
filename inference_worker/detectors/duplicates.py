"""Finds two areas of a picture that show the same: what copying a part within it leaves behind.

Keypoints are matched with each other, matches that agree on one movement are gathered, and the
movement is then checked pixel by pixel. After Amerini et al. 2011, "A SIFT-based forensic method
for copy-move attack detection and transformation recovery". Nothing here is learned or random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

MOST_KEYPOINTS = 1500
NEAREST = 20.0
"""Pixels between the two areas at least: closer neighbours look alike in any photograph."""
MOST_ANGLE = 0.45
"""Radians between two descriptors that match."""
MOST_RATIO = 0.7
"""Of the best match's angle to the second best's (Lowe 2004)."""
TOLERANCE = 2.5
"""Pixels by which a match may miss the common movement."""
MOST_MOVEMENTS = 3
LEAST_SCALE, MOST_SCALE = 0.5, 2.0
WINDOW = 13
"""Side of the neighbourhood in which the two areas are compared, in pixels."""
LEAST_LIKENESS = 0.8
LEAST_VARIANCE = 6.0
"""Of a neighbourhood's brightness; flat areas are alike without being copies."""
MOST_SHIFT = 12.0
"""Levels of brightness between the two areas."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two areas of a picture that show the same; which one is the original cannot be told."""

    area: Mask
    """Shape (height, width)."""
    twin: Mask
    matches: int
    """Keypoints in the area whose match lies where the movement says."""
    likeness: float
    """Median correlation of the two areas' neighbourhoods, -1..1."""
    detail_likeness: float
    """The same of their finest detail: high for copies, low for things built alike."""
    turned_degrees: float
    scaled: float

    @property
    def traits(self) -> Floats:
        """Return what tells copies from things that merely look alike, shape (TRAITS,)."""
        found = (
            1.0,
            math.log1p(self.matches),
            math.sqrt(float(self.area.mean())),
            math.atanh(min(self.likeness, 0.995)),
            math.atanh(min(max(self.detail_likeness, 0.0), 0.995)),
        )
        return np.array(found, np.float32)


TRAITS = 5


def traits_of(found: Duplicate | None) -> Floats:
    """Return the duplicate's traits, or zeros when there is none."""
    return np.zeros(TRAITS, np.float32) if found is None else found.traits


def find_duplicate(grey: Pixels) -> Duplicate | None:
    """Return the most convincing pair of areas alike in a grey picture of shape (height, width)."""
    checked = (_checked(grey, *each) for each in _movements(_matches(grey)))
    return max(filter(None, checked), key=_conviction, default=None)


def _conviction(found: Duplicate) -> float:
    return found.matches * max(found.detail_likeness, 0.0)


def _matches(grey: Pixels) -> Floats:
    """Return matched keypoints as rows of x, y, x of the match, y of the match."""
    sift = cv2.SIFT.create(nfeatures=MOST_KEYPOINTS, contrastThreshold=0.015, edgeThreshold=12)
    keypoints, found = sift.detectAndCompute(grey, np.empty(0, np.uint8))
    if len(keypoints) < 4:
        return np.zeros((0, 4), np.float32)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-6)
    descriptors = np.sqrt(shares).astype(np.float32)
    alike = descriptors @ descriptors.T
    apart = points[:, None] - points[None]
    alike[(apart**2).sum(axis=2) < NEAREST**2] = -1
    order = np.argpartition(-alike, 1, axis=1)[:, :2]
    angles = np.arccos(np.clip(np.take_along_axis(alike, order, axis=1), -1, 1))
    matched = (angles[:, 0] < MOST_ANGLE) & (angles[:, 0] < MOST_RATIO * angles[:, 1])
    return np.concatenate([points[matched], points[order[matched, 0]]], axis=1)


def _movements(matches: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield turn-scale-shift matrices of shape (2, 3) and the matches that follow each."""
    left = np.concatenate([matches, matches[:, [2, 3, 0, 1]]])
    for _ in range(MOST_MOVEMENTS):
        if len(left) < 6:
            return
        starts, ends = np.ascontiguousarray(left[:, :2]), np.ascontiguousarray(left[:, 2:])
        found, agreeing = cv2.estimateAffinePartial2D(
            starts, ends, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=1000
        )
        matrix = np.asarray(found, np.float32)
        if matrix.shape != (2, 3):  # None where no two matches agree
            return
        follows = np.asarray(agreeing).ravel() > 0
        if _is_plausible(matrix, left[follows]):
            yield matrix, left[follows]
        left = left[~follows & ~_follow_backwards(matrix, left)]


def _is_plausible(matrix: Floats, followers: Floats) -> bool:
    far = float(np.median(np.hypot(*(followers[:, 2:] - followers[:, :2]).T)))
    return len(followers) >= 3 and far > NEAREST and LEAST_SCALE < _scale(matrix) < MOST_SCALE


def _follow_backwards(matrix: Floats, matches: Floats) -> Mask:
    moved = matches[:, 2:] @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.hypot(*(moved - matches[:, :2]).T) < TOLERANCE)


def _scale(matrix: Floats) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _checked(grey: Pixels, matrix: Floats, followers: Floats) -> Duplicate | None:
    """Compare the picture with itself, moved; None when no area around the matches agrees."""
    height, width = grey.shape
    here = grey.astype(np.float32)
    there = _moved(here, matrix)
    inside = _moved(np.ones_like(here), matrix) > 0.99
    likeness, variance = _correlation(here, there)
    shift = np.abs(_mean(here) - _mean(there))
    agrees = (likeness > LEAST_LIKENESS) & (variance > LEAST_VARIANCE) & (shift < MOST_SHIFT)
    area, hits = _around(_tidied(agrees & inside), followers)
    if not hits:
        return None
    core = _grown(area, -5)
    core = core if core.any() else area
    detail, _ = _correlation(_detail(here), _detail(there))
    area = _grown(area, WINDOW // 2)
    twin = cv2.warpAffine(area.astype(np.uint8), matrix, (width, height)) > 0
    return Duplicate(
        area,
        twin,
        hits,
        float(np.median(likeness[core])),
        float(np.median(detail[core])),
        math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])),
        _scale(matrix),
    )


def _moved(plane: Floats, matrix: Floats) -> Floats:
    """Return the plane with each pixel taken from where the movement leads."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(plane, matrix, plane.shape[::-1], flags=flags, borderValue=(0.0,)),
        np.float32,
    )


def _mean(plane: Floats) -> Floats:
    return np.asarray(cv2.boxFilter(plane, -1, (WINDOW, WINDOW)), np.float32)


def _correlation(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return each neighbourhood's correlation of two planes, and the variance of the first."""
    mean, other_mean = _mean(one), _mean(other)
    variance = np.maximum(_mean(one * one) - mean * mean, 0)
    other_variance = np.maximum(_mean(other * other) - other_mean * other_mean, 0)
    together = _mean(one * other) - mean * other_mean
    return together / (np.sqrt(variance * other_variance) + 0.25), variance


def _detail(plane: Floats) -> Floats:
    return plane - np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.2), np.float32)


def _tidied(mask: Mask) -> Mask:
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    return np.asarray(closed > 0)


def _grown(mask: Mask, pixels: int) -> Mask:
    """Widen the mask by so many pixels at each side, or shrink it."""
    change = cv2.dilate if pixels > 0 else cv2.erode
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    return np.asarray(change(mask.astype(np.uint8), kernel) > 0)


def _around(mask: Mask, followers: Floats) -> tuple[Mask, int]:
    """Keep the parts of the mask that hold at least two matches; count those matches."""
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    places = np.clip(followers[:, :2].astype(int), 0, np.array(mask.shape[::-1]) - 1)
    held = np.bincount(parts[places[:, 1], places[:, 0]], minlength=count)
    held[0] = 0
    kept = np.flatnonzero(held >= 2)
    return np.isin(parts, kept), int(held[kept].sum())
