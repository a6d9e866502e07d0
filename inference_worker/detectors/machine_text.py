"""Judges whether an English text was written by a language model: gates, stretches, one score.

No model for it is bundled and none has been tested in it: see docs/adr/007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from transformers import AutoModelForImageClassification

from inference_worker.detectors.image import model_input
from inference_worker.detectors.network import Features, Network, Statistics
from inference_worker.detectors.segments import score_by_windows
from inference_worker.detectors.stylometry import (
    STATISTICS,
    WORD,
    function_word_share,
    style_statistics,
    words,
)
from inference_worker.errors import ModelUnusable
from inference_worker.registry import ModelFolder
from inference_worker.types import Abstention, Judgement, Passage, Prepared, Window

FRONT_END = "style_statistics"
STRETCH = 150
"""Words judged at a time; the training texts are about as long."""
SHORTEST_REST = 0.5
"""Of a stretch: a shorter rest is judged with the stretch before it."""
MOST_STRETCHES = 24
"""Looked at in one text; style shows itself sooner."""
SAMPLES = (
    "The council met on Monday. It spoke about water, and then about roads; nobody was happy. "
    "When will the bridge be built? The clerk did not know, so they all went home.",
    "It is important to note that effective communication plays a crucial role in organisational "
    "development. Furthermore, stakeholders should consider a comprehensive approach.",
)


class MachineTextDetector:
    """Scores a Passage by its style, with a small network over STATISTICS numbers."""

    batch_size = 16

    def __init__(self, folder: ModelFolder) -> None:
        """Load the model. Raises ModelUnusable when its files do not fit together."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        statistics = Statistics.load(folder, FRONT_END, STATISTICS)
        if statistics is None:
            raise ModelUnusable(f"{folder} has no {FRONT_END} to look at.")
        self._statistics = statistics
        self._network = Network(AutoModelForImageClassification, folder)
        self._network.settle(self._inputs(self._sample_windows()))

    def prepare(self, content: Passage) -> Prepared | Abstention:
        """Check length and language, and cut the text into stretches of about STRETCH words."""
        gates = self._folder.gates
        found = words(content.text[: int(gates["max_characters"])])
        if len(found) < gates["min_words"]:
            reason = f"The text has {len(found)} words; {gates['min_words']} are needed."
            return self._abstain("too_short", reason)
        hint = (content.language or "und").lower().replace("_", "-").partition("-")[0]
        if hint not in {"und", "en"} or function_word_share(found) < gates["least_function_words"]:
            return self._abstain(
                "language_not_measured",
                "Whether a machine wrote a text was only measured on English.",
            )
        return Prepared(self._windows(content.text), {"words": len(found)})

    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Return the log odds of a machine as the author of each stretch, shape (n,)."""
        return self._network.log_odds(self._inputs(windows))

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Score the text as the mean of its stretches: one dull page is no proof."""
        return score_by_windows(self._folder, prepared, logits, float(logits.mean()))

    def warm_up(self) -> None:
        """Run one full batch."""
        self.forward(self._sample_windows())

    def _windows(self, text: str) -> tuple[Window, ...]:
        spans = stretches(text[: int(self._folder.gates["max_characters"])])
        return tuple(
            Window(style_statistics(text[start:end]), 1, start, end) for start, end in spans
        )

    def _inputs(self, windows: Sequence[Window]) -> Features:
        values = np.stack([window.features for window in windows])
        return model_input(self._statistics.standardised(values))

    def _sample_windows(self) -> list[Window]:
        each = [Window(style_statistics(text), 1, 0, len(text)) for text in SAMPLES]
        return each * (self.batch_size // len(each))

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def stretches(text: str) -> list[tuple[int, int]]:
    """Cut a text into runs of STRETCH words, as offsets; at most MOST_STRETCHES of them."""
    found = [match.span() for match in WORD.finditer(text)]
    starts = list(range(0, len(found), STRETCH))
    if len(starts) > 1 and len(found) - starts[-1] < SHORTEST_REST * STRETCH:
        starts.pop()
    ends = [*starts[1:], len(found)]
    runs = zip(starts, ends, strict=True)
    return [(found[a][0], found[b - 1][1]) for a, b in runs][:MOST_STRETCHES]
