"""Which seconds of a recording score high, and what in its worst window raises the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.signal import istft, stft

from inference_worker.explaining.judging import Asked, Floats
from inference_worker.types import SAMPLE_RATE, Recording, Score

SLICES = 8
"""Stretches of time that a window is cut into."""
BANDS_HERTZ = (0, 400, 1_000, 2_000, 3_400, 5_000, 6_500, 8_000)
"""Edges of the bands: voice below 400 Hz, vowels to 3.4 kHz (a telephone's limit), hiss above."""
AT_ONCE = 16
FFT_SAMPLES = 512
HOP_SAMPLES = 128
QUIETER = 0.1
"""Share of the amplitude left of what is taken away, 20 dB down: silence would be a sign itself."""


@dataclass(frozen=True, slots=True)
class SoundEvidence:
    """Scores by second, and how far the worst window's log odds fall without each part of it."""

    seconds: tuple[float | None, ...]
    """Mean calibrated probability of the windows over each second; None where none was judged."""
    start: float
    """Of the window that scored highest, in seconds; so is `end`."""
    end: float
    falls: Floats | None
    """Shape (bands, SLICES), low bands first; None where the window cannot be judged alone."""


def explain_sound(ask: Asked, content: Recording, score: Score) -> SoundEvidence:
    """Spread the windows' scores over seconds; weaken parts of the worst one and ask again."""
    worst = max(score.segments, key=lambda segment: segment.probability)
    first, last = content.at(worst.start), content.at(worst.end)
    window = replace(content, samples=content.samples[first:last], stretches=())
    return SoundEvidence(by_second(score, content), worst.start, worst.end, _falls(ask, window))


def by_second(score: Score, content: Recording) -> tuple[float | None, ...]:
    """Return the mean probability of the segments that cover most of each second, or None."""
    count = int(np.ceil(max(content.duration_seconds, 1e-3)))
    totals, covered = np.zeros(count), np.zeros(count)
    for segment in score.segments:
        begin, stop = max(0, int(segment.start)), min(count, int(np.ceil(segment.end)))
        edges = np.arange(begin, stop)
        inside = np.minimum(edges + 1, segment.end) - np.maximum(edges, segment.start)
        totals[begin:stop] += inside * segment.probability
        covered[begin:stop] += inside
    return tuple(
        float(total / over) if over >= 0.5 * min(1.0, content.duration_seconds - at) else None
        for at, (total, over) in enumerate(zip(totals, covered, strict=True))
    )


def _falls(ask: Asked, window: Recording) -> Floats | None:
    (whole,) = ask([window])
    if np.isnan(whole):
        return None
    places = (len(BANDS_HERTZ) - 1) * SLICES
    take_away = partial(without_parts, window)
    falls = np.concatenate(
        [
            whole - ask([take_away([place]) for place in range(at, min(at + AT_ONCE, places))])
            for at in range(0, places, AT_ONCE)
        ]
    )
    return falls.reshape(-1, SLICES)


def without_parts(window: Recording, places: Sequence[int]) -> Recording:
    """Return the window with the parts at `places` (band by band, low first) 20 dB weaker."""
    hertz, times, spectrum = stft(
        window.samples, SAMPLE_RATE, nperseg=FFT_SAMPLES, noverlap=FFT_SAMPLES - HOP_SAMPLES
    )
    band = np.clip(np.searchsorted(BANDS_HERTZ, hertz, side="right") - 1, 0, len(BANDS_HERTZ) - 2)
    seconds = len(window.samples) / SAMPLE_RATE
    part = np.clip((times / seconds * SLICES).astype(int), 0, SLICES - 1)
    chosen = np.isin(band[:, None] * SLICES + part[None, :], list(places))
    _, changed = istft(
        np.where(chosen, spectrum * QUIETER, spectrum),
        SAMPLE_RATE,
        nperseg=FFT_SAMPLES,
        noverlap=FFT_SAMPLES - HOP_SAMPLES,
    )
    return replace(window, samples=_fitted(changed, len(window.samples)))


def _fitted(samples: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float32]:
    fitted = np.zeros(count, np.float32)
    fitted[: min(count, len(samples))] = samples[:count]
    return np.clip(fitted, -1.0, 1.0)
