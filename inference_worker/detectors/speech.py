"""Judges whether speech is synthetic: gates, overlapping windows, one calibrated score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import AutoModelForAudioClassification

from inference_worker.detectors.hearing import (
    MOST_STEADINESS,
    Heard,
    hear,
    is_narrow_band,
    is_noisy,
)
from inference_worker.detectors.network import Features, Inputs, Network, Statistics
from inference_worker.detectors.segments import score_by_windows
from inference_worker.detectors.sound import (
    LONG_BANDS,
    STATISTICS,
    WINDOW_SECONDS,
    Samples,
    voice_statistics,
)
from inference_worker.detectors.standard import SoundExtractor, cost
from inference_worker.registry import ModelFolder
from inference_worker.reliability import CONDITION, GROUPS, LANGUAGE
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    Judgement,
    Prepared,
    Recording,
    Window,
)

FRONT_END = "voice_statistics_2"
FRONT_ENDS = {FRONT_END: STATISTICS, "voice_statistics": STATISTICS - 2 * LONG_BANDS}
"""How many of the statistics a folder's model looks at, always the first ones, by the name it
states. Version 1 of the bundled model did not know the last."""
MOST_WINDOWS = 96
"""Looked at in one recording, spread evenly: a bound on work, whatever the length."""
DECIDING_SHARE = 1 / 3
"""The highest third of the windows decides, as a clone may speak for a part of the time only."""


NO_VOICE = {
    Heard.MUSIC: "Music or tones, and no window of speech: more than {most_steadiness} of the "
    "partials stand still, which those of a voice do not.",
    Heard.NOISE: "Noise, and no window with {least_voiced_seconds} s of a voice.",
    Heard.NO_SPEECH: "No window holds {least_voiced_seconds} s of a lively voice.",
}
"""Why a recording without speech is not judged; the first of those that are equally frequent."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of sound that is looked at as one window."""

    start: float
    """In seconds."""
    samples: Samples


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
        known = (Statistics.load(folder, *front_end) for front_end in FRONT_ENDS.items())
        self._statistics = next((found for found in known if found), None)
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
        spans = _spans(content, self._window_samples)
        level = max(_level(span.samples) for span in spans)
        if level < self._gates["least_level_dbfs"]:
            least = self._gates["least_level_dbfs"]
            return self._abstain("too_quiet", f"{level:.0f} dBFS at most; {least:g} are needed.")
        heard = [hear(span.samples, self._gates) for span in spans]
        spoken = [span for span, what in zip(spans, heard, strict=True) if what is Heard.SPEECH]
        if not spoken:
            return self._no_voice(heard)
        notes = {**_notes(content, heard), GROUPS: _groups(content, spoken)}
        return Prepared(tuple(self._window(span) for span in spoken), notes)

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

    def _no_voice(self, heard: Sequence[Heard]) -> Abstention:
        """Say what there is instead of a voice: what most of the windows hold."""
        what = max(NO_VOICE, key=heard.count)
        gates = {"most_steadiness": MOST_STEADINESS, **self._gates}
        limits = {name: f"{limit:g}" for name, limit in gates.items()}
        return self._abstain(what.value, NO_VOICE[what].format_map(limits))

    def _window(self, span: Span) -> Window:
        features, length = self._features(span.samples)
        end = span.start + len(span.samples) / SAMPLE_RATE
        return Window(features, length, span.start, end)

    def _features(self, samples: Samples) -> tuple[Features | Inputs, int]:
        """Return what the model takes of a window, and its cost on the device."""
        if self._extractor:
            inputs = self._extractor.inputs(samples)
            return inputs, cost(inputs)
        assert self._statistics, "a folder has an extractor or statistics"
        count = len(self._statistics.mean)
        return self._statistics.standardised(voice_statistics(samples)[:count]), count

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
        return [self._window(Span(0.0, buzz)) for buzz in buzzes]

    def _abstain(self, code: str, reason: str) -> Abstention:
        return Abstention(self.name, self.version, self.label, code, reason)


def _spans(content: Recording, window: int) -> list[Span]:
    """Return at most MOST_WINDOWS windows, evenly spread over what was kept of the recording."""
    spans = [
        Span(at + start / SAMPLE_RATE, samples[start : start + window])
        for at, samples in content.parts()
        for start in _starts(len(samples), window)
    ]
    if len(spans) <= MOST_WINDOWS:
        return spans
    return [spans[round(n)] for n in np.linspace(0, len(spans) - 1, MOST_WINDOWS)]


def _starts(count: int, window: int) -> list[int]:
    """Return where windows begin in `count` samples: one each half window, to the very end."""
    last = max(count - window, 0)
    starts: list[int] = np.linspace(0, last, -(-last // (window // 2)) + 1).astype(int).tolist()
    return starts


def _level(samples: Samples) -> float:
    """Return the level in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(samples), dtype=np.float64) + 1e-12))


def _notes(content: Recording, heard: Sequence[Heard]) -> dict[str, Any]:
    return {
        "windows_looked_at": len(heard),
        "windows_with_speech": heard.count(Heard.SPEECH),
        "windows_with_music": heard.count(Heard.MUSIC),
        "evenly_sampled": bool(content.stretches) or len(heard) == MOST_WINDOWS,
    }


def _groups(content: Recording, spoken: Sequence[Span]) -> list[str]:
    """Return the groups whose measured reliability applies: what most of the speech is like."""
    conditions = [condition(span.samples) for span in spoken]
    most = max(set(conditions), key=conditions.count)
    groups = [f"{CONDITION}{most}"] if most else []
    return groups + ([f"{LANGUAGE}{content.language}"] if content.language else [])


def condition(samples: Samples) -> str:
    """Return how the sound of one window reached us: narrow band, noisy, or "" for neither."""
    if is_narrow_band(samples):
        return "narrow band"
    return "noisy" if is_noisy(samples) else ""
