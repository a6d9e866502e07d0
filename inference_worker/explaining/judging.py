"""Asks one detector about changed content, again and again, outside the worker's loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_worker.looks import Look, Sense, add_up
from inference_worker.types import (
    Abstention,
    Content,
    Detector,
    Footage,
    Judgement,
    Prepared,
    Score,
)

Floats = npt.NDArray[np.float64]

Asked = Callable[[Sequence[Content]], Floats]
"""Contents to the log odds of the detector's label, shape (n,); NaN where it would not judge."""

MOST_ODDS = 1e-6
"""Distance of a probability from 0 and 1 beyond which its log odds are not told apart."""


def asker(detector: Detector) -> Asked:
    """Return how to ask this detector."""
    return partial(log_odds, detector)


def judge(detector: Detector, content: Content) -> Judgement:
    """Return the detector's judgement of one content, as the worker's loop would."""
    (judged,) = _judged(detector, [content])
    return judged


def log_odds(detector: Detector, contents: Sequence[Content]) -> Floats:
    """Return what the detector says of each content, shape (n,); NaN where it abstains.

    Windows of all contents share forward passes, of at most the detector's batch size.
    """
    return np.array(
        [
            _odds(content, said)
            for content, said in zip(contents, _judged(detector, contents), strict=True)
        ],
        np.float64,
    )


def _odds(content: Content, judged: Judgement) -> float:
    if not isinstance(judged, Score):
        return np.nan
    if not isinstance(content, Footage):
        return judged.raw
    # Of a video only the probability is of the frames together.
    inside = min(max(judged.probability, MOST_ODDS), 1 - MOST_ODDS)
    return math.log(inside / (1 - inside))


def _judged(detector: Detector, contents: Sequence[Content]) -> list[Judgement]:
    looks = [_looks(detector, content) for content in contents]
    windows = [
        window
        for each in looks
        for look in each
        if isinstance(look.prepared, Prepared)
        for window in look.prepared.windows
    ]
    size = detector.batch_size
    left = iter(
        [
            row
            for at in range(0, len(windows), size)
            for row in detector.forward(windows[at : at + size])
        ]
    )
    return [
        _of(content, [(look, look.judge(_next(left, look.window_count))) for look in each])
        for content, each in zip(contents, looks, strict=True)
    ]


def _looks(detector: Detector, content: Content) -> list[Look]:
    if isinstance(content, Footage):
        return [
            Look(Sense.VISUAL, detector, detector.prepare(frame.picture), frame.at_seconds)
            for frame in content.frames
        ]
    return [Look(Sense.VISUAL, detector, detector.prepare(content))]


def _next(rows: Iterator[Any], count: int) -> npt.NDArray[np.float32]:
    """Return the next rows: one logit each, or a logit for each kind of the label."""
    return np.array([next(rows) for _ in range(count)], np.float32)


def _of(content: Content, looked: Sequence[tuple[Look, Judgement]]) -> Judgement:
    if not looked:
        return Abstention("", "", "", "no_picture", "There is nothing to judge.")
    if isinstance(content, Footage):
        return add_up(content, looked)[0].judgement
    return looked[0][1]
