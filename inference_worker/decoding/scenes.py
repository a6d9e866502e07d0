"""Which of many frames to keep: some of every scene, none twice. Knows no video, only pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference_worker.types import Picture

Luma = npt.NDArray[np.float32]

LUMA_SIZE = (32, 18)
"""Width and height a frame is looked at in: too small for grain and codec noise to matter."""
SAME = 0.004
"""Mean difference, of full scale, up to which two frames show the same picture: one grey level."""
CUT = 0.10
"""Mean difference, of full scale, from which two frames may be of different scenes."""
STANDS_OUT = 3.0
"""A cut differs this many times more than the calmer frames of this video do: in one filmed from a
moving hand everything differs."""
CALM = 0.25
"""The share of neighbours that counts as calm; in a video of short scenes few are."""
CERTAIN_CUT = 0.25
"""Mean difference, of full scale, that is a cut in any video."""


def luma(picture: Picture) -> Luma:
    """Return a picture's brightness, scaled down to LUMA_SIZE, float32 0..1, (rows, columns)."""
    grey = Image.fromarray(picture.pixels).convert("L").resize(LUMA_SIZE, Image.Resampling.BOX)
    return np.asarray(grey, np.float32) / np.float32(255)


def chosen(
    frames: Sequence[Luma], times: Sequence[float], wanted: int, most: int
) -> tuple[list[int], int]:
    """Return which frames to keep, as ascending places, and how many scenes there are.

    `frames` are in order of time, float32 of one shape, 0..1. Every scene gives at least one, and
    where that makes fewer than `wanted` the longer scenes give more. With more than `most` scenes,
    `most` of them give one, spread evenly.
    """
    distinct = _distinct(frames)
    scenes = _scenes([frames[place] for place in distinct])
    if len(scenes) > most:
        taken = [scenes[round(i)] for i in np.linspace(0, len(scenes) - 1, most)]
        return [distinct[scene[len(scene) // 2]] for scene in taken], len(scenes)
    lengths = [_seconds(scene, [times[place] for place in distinct]) for scene in scenes]
    shares = _shared_out(wanted, [len(scene) for scene in scenes], lengths)
    places = [
        scene[place]
        for scene, share in zip(scenes, shares, strict=True)
        for place in _evenly(len(scene), share)
    ]
    return [distinct[place] for place in places], len(scenes)


def _distinct(frames: Sequence[Luma]) -> list[int]:
    """Leave out frames that repeat the one kept before: a still picture is judged once."""
    kept: list[int] = []
    for place, frame in enumerate(frames):
        if not kept or _difference(frames[kept[-1]], frame) > SAME:
            kept.append(place)
    return kept


def _difference(one: Luma, other: Luma) -> float:
    return float(np.abs(one - other).mean())


def _scenes(frames: Sequence[Luma]) -> list[list[int]]:
    """Cut where neighbours differ by CUT and STANDS_OUT; return the places of each scene."""
    changes = [_difference(one, other) for one, other in pairwise(frames)]
    calm = sorted(changes)[int(len(changes) * CALM)] if changes else 0.0
    limit = min(max(CUT, STANDS_OUT * calm), CERTAIN_CUT)
    cuts = [place + 1 for place, change in enumerate(changes) if change > limit]
    edges = [0, *cuts, len(frames)]
    return [list(range(a, b)) for a, b in pairwise(edges) if b > a]


def _seconds(scene: Sequence[int], times: Sequence[float]) -> float:
    after = scene[-1] + 1
    return times[after if after < len(times) else scene[-1]] - times[scene[0]]


def _shared_out(wanted: int, sizes: Sequence[int], seconds: Sequence[float]) -> list[int]:
    """Give each scene one frame, and the next one always to the scene that has fewest a second."""
    shares = [1] * len(sizes)
    while sum(shares) < wanted:
        open_scenes = [n for n, share in enumerate(shares) if share < sizes[n]]
        if not open_scenes:
            break
        neediest = max(open_scenes, key=lambda n: (seconds[n] / shares[n], -n))
        shares[neediest] += 1
    return shares


def _evenly(size: int, share: int) -> list[int]:
    """Return `share` places in the middle of as many equal parts of `size`."""
    return [int((2 * n + 1) * size / (2 * share)) for n in range(share)]
