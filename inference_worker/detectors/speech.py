"""Judges whether speech is synthetic: gates, windows of four seconds, one calibrated score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from inference_worker.detectors.network import Features, Network, Statistics
from inference_worker.detectors.segments import score_by_windows
from inference_worker.detectors.sound import (
    STATISTICS,
    VOICE_FRAME,
    WINDOW_SECONDS,
    Samples,
    VoiceActivity,
    voice_activity,
    voice_statistics,
)
from inference_worker.registry import ModelFolder
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    Judgement,
    Prepared,
    Recording,
    Score,
    Window,
)

FRONT_END = "voice_statistics"
WINDOW_SAMPLES = int(WINDOW_SECONDS * SAMPLE_RATE)
STEP_SAMPLES = WINDOW_SAMPLES // 2
MOST_WINDOWS = 48
"""Looked at in one recording, spread evenly: a bound on work, whatever the length."""
DECIDING_SHARE = 1 / 3
"""The highest third of the windows decides, as a clone may speak for a part of the time only."""


def model_input(standardised: Features) -> Features:
    """Return statistics of shape (n, STATISTICS) as two equal frames, shape (n, STATISTICS, 2).

    The encoder halves the time axis, so two frames are the least it takes.
    """
    return np.repeat(standardised[:, :, None], 2, axis=2)


class SpeechDetector:
    """Scores a Recording with an audio classification model."""

    batch_size = 32

    def __init__(self, folder: ModelFolder) -> None:
        """Load the model. Raises ModelUnusable when its files do not fit together."""
        self.name, self.version, self.label = folder.name, folder.version, folder.task
        self._folder = folder
        self._gates = {name: float(limit) for name, limit in folder.gates.items()}
        self._statistics = Statistics.load(folder, FRONT_END, STATISTICS)
        self._extractor: Any = None
        if self._statistics is None:
            self._extractor = AutoFeatureExtractor.from_pretrained(  # type: ignore[no-untyped-call]
                folder.path, local_files_only=True, trust_remote_code=False
            )
        self._network = Network(AutoModelForAudioClassification, folder)
        self._network.settle(self._inputs(self._sample_windows()))

    def prepare(self, content: Recording) -> Prepared | Abstention:
        """Check length, level and voice, and keep the windows in which someone speaks."""
        seconds = len(content.samples) / SAMPLE_RATE
        if seconds < self._gates["least_seconds"]:
            least = self._gates["least_seconds"]
            return self._abstain("too_short", f"{seconds:.1f} s of sound; {least:g} s are needed.")
        spans = _spans(len(content.samples))
        level = max(_level(content.samples[start:end]) for start, end in spans)
        if level < self._gates["least_level_dbfs"]:
            least = self._gates["least_level_dbfs"]
            return self._abstain("too_quiet", f"{level:.0f} dBFS at most; {least:g} are needed.")
        spoken = [span for span in spans if self._speaks(content.samples[slice(*span)])]
        if not spoken:
            least = self._gates["least_voiced_seconds"]
            return self._abstain("no_speech", f"No window holds {least:g} s of a lively voice.")
        windows = tuple(self._window(content.samples, *span) for span in spoken)
        return Prepared(windows, _notes(content, len(spans), len(spoken)))

    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Return the log odds of synthetic speech for each window, shape (n,)."""
        return self._network.log_odds(self._inputs(windows))

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Score the recording as the mean of its highest third; every window is a segment."""
        deciding = int(np.ceil(len(logits) * DECIDING_SHARE))
        raw = float(np.sort(logits)[-deciding:].mean())
        return score_by_windows(self._folder, prepared, logits, raw)

    def explain(self, content: Recording, score: Score) -> list[float]:
        """Return one probability for each second judged: the mean of the segments over it.

        Seconds that no segment covers repeat the score of the whole.
        """
        seconds = int(np.ceil(len(content.samples) / SAMPLE_RATE))
        covering = (
            [s.probability for s in score.segments if s.start < at + 1 and s.end > at]
            for at in range(seconds)
        )
        return [float(np.mean(found)) if found else score.probability for found in covering]

    def warm_up(self) -> None:
        """Run one full batch."""
        self.forward(self._sample_windows())

    def _speaks(self, samples: Samples) -> bool:
        heard = voice_activity(samples) if len(samples) >= VOICE_FRAME else VoiceActivity(0.0, 0.0)
        return (
            heard.voiced_seconds >= self._gates["least_voiced_seconds"]
            and heard.liveliness >= self._gates["least_liveliness_db"]
        )

    def _window(self, samples: Samples, start: int, end: int) -> Window:
        features = self._features(samples[start:end])
        return Window(features, len(features), start / SAMPLE_RATE, end / SAMPLE_RATE)

    def _features(self, samples: Samples) -> Features:
        if self._statistics is not None:
            return self._statistics.standardised(voice_statistics(samples))
        found = self._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")
        return np.asarray(next(iter(found.values()))[0], np.float32)

    def _inputs(self, windows: Sequence[Window]) -> Features:
        stacked = np.stack([window.features for window in windows])
        return model_input(stacked) if self._statistics is not None else stacked

    def _sample_windows(self) -> list[Window]:
        """Return a batch of different buzzes, the nearest thing to voices that code can make."""
        rng = np.random.default_rng(0)
        buzzes = rng.normal(size=(self.batch_size, WINDOW_SAMPLES)).astype(np.float32) * 0.02
        for pitch, buzz in enumerate(buzzes, 60):
            buzz[:: SAMPLE_RATE // pitch] += 0.5
        return [self._window(buzz, 0, WINDOW_SAMPLES) for buzz in buzzes]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _spans(count: int) -> list[tuple[int, int]]:
    """Return at most MOST_WINDOWS windows as sample offsets, evenly spread over `count`."""
    last = max(count - WINDOW_SAMPLES, 0)
    needed = -(-last // STEP_SAMPLES) + 1
    starts = np.linspace(0, last, min(needed, MOST_WINDOWS)).astype(int).tolist()
    return [(start, min(start + WINDOW_SAMPLES, count)) for start in starts]


def _level(samples: Samples) -> float:
    """Return the level in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(samples), dtype=np.float64) + 1e-12))


def _notes(content: Recording, looked_at: int, spoken: int) -> dict[str, float | bool]:
    return {
        "windows_looked_at": looked_at,
        "windows_with_speech": spoken,
        "evenly_sampled": looked_at == MOST_WINDOWS,
        "truncated": content.truncated,
    }
