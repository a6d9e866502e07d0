"""The score of content that was judged window by window, with every window as a segment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference_worker.registry import ModelFolder
from inference_worker.reliability import GROUPS, reliability_of
from inference_worker.types import Prepared, Score, Segment


def score_by_windows(
    folder: ModelFolder, prepared: Prepared, logits: npt.NDArray[np.float32], raw: float
) -> Score:
    """Return the calibrated score; `logits` has one logit a window, `raw` is that of the whole.

    It is as reliable as the weakest of the groups that prepare() noted under GROUPS.
    """
    probability = folder.calibration.probability
    return Score(
        detector=folder.name,
        version=folder.version,
        label=folder.task,
        probability=probability(raw),
        raw=raw,
        threshold=folder.threshold,
        reliability=reliability_of(folder, prepared.notes.get(GROUPS, ())),
        segments=tuple(
            Segment(window.start, window.end, probability(float(logit)))
            for window, logit in zip(prepared.windows, logits, strict=True)
        ),
        notes=dict(prepared.notes),
    )
