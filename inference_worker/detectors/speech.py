"""Judges whether speech is synthetic: gates, overlapping windows, one calibrated score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from transformers import AutoModelForAudioClassification

from inference_worker.detectors.network import Features, Inputs, Network, Statistics
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
from inference_worker.detectors.standard import SoundExtractor, cost
from inference_worker.registry import ModelFolder
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    Judgement,
    Prepared,
    Recording,
    Window,
)

FRONT_END = "voice_statistics"
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
        self._extractor = None if self._statistics else SoundExtractor(folder)
        fixed_seconds = self._extractor.fixed_seconds if self._extractor else None
        self._window_samples = int((fixed_seconds or WINDOW_SECONDS) * SAMPLE_RATE)
        self._network = Network(AutoModelForAudioClassification, folder)
        self.batch_size = self._network.settle(self._inputs(self._sample_windows()))

    def prepare(self, content: Recording) -> Prepared | Abstention:
        """Check length, level and voice, and keep the windows in which someone speaks."""
        seconds = len(content.samples) / SAMPLE_RATE
        if seconds < self._gates["least_seconds"]:
            least = self._gates["least_seconds"]
            return self._abstain("too_short", f"{seconds:.1f} s of sound; {least:g} s are needed.")
        spans = _spans(len(content.samples), self._window_samples)
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
        features, length = self._features(samples[start:end])
        return Window(features, length, start / SAMPLE_RATE, end / SAMPLE_RATE)

    def _features(self, samples: Samples) -> tuple[Features | Inputs, int]:
        """Return what the model takes of a window, and its cost on the device."""
        if self._extractor:
            inputs = self._extractor.inputs(samples)
            return inputs, cost(inputs)
        assert self._statistics, "a folder has an extractor or statistics"
        return self._statistics.standardised(voice_statistics(samples)), STATISTICS

    def _inputs(self, windows: Sequence[Window]) -> Features | Sequence[Inputs]:
        features = [window.features for window in windows]
        return (
            self._extractor.evened(features) if self._extractor else model_input(np.stack(features))
        )

    def _sample_windows(self) -> list[Window]:
        """Return a batch of different buzzes, the nearest thing to voices that code can make."""
        rng = np.random.default_rng(0)
        buzzes = rng.normal(size=(self.batch_size, self._window_samples)).astype(np.float32) * 0.02
        for pitch, buzz in enumerate(buzzes, 60):
            buzz[:: SAMPLE_RATE // pitch] += 0.5
        return [self._window(buzz, 0, self._window_samples) for buzz in buzzes]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _spans(count: int, window: int) -> list[tuple[int, int]]:
    """Return at most MOST_WINDOWS windows as sample offsets, evenly spread over `count`."""
    last = max(count - window, 0)
    needed = -(-last // (window // 2)) + 1
    starts = np.linspace(0, last, min(needed, MOST_WINDOWS)).astype(int).tolist()
    return [(start, min(start + window, count)) for start in starts]


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
