"""What is in a stretch of sound: a voice, music, noise, or nothing; the speech detector's gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from inference_worker.types import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

VOICE_FRAME = 640
"""40 ms: three periods of the lowest voice."""
VOICE_HOP = 320
VOICE_HERTZ = (70.0, 400.0)
VOICED_CORRELATION = 0.45
"""Noise stays below .35 at this frame length, voiced speech is mostly above .6."""
AUDIBLE_SHARE = 1e-3
"""Frames more than 30 dB below the loudest count as pauses."""

TONE_FRAME, TONE_HOP = 2048, 512
"""128 ms, every 32 ms: parts partials that are 16 Hz apart."""
TONE_HERTZ = (400.0, 4_000.0)
"""Where steadiness is looked for. A voice never holds its pitch, and a harmonic moves as many times
farther as its number; below, even a gliding voice seems to stand still."""
TONE_SHIFT = 0.25
"""Bins of 7.8 Hz that a steady partial may move between frames: 2 Hz."""
TONE_HEIGHT_DB, TONE_DEPTH_DB = 9.0, 45.0
"""How far a partial stands out of its surroundings, and below the loudest of the stretch."""
LEAST_TONES_DB = 200.0
"""Summed height of partials below which a stretch has too few to speak of."""
MOST_STEADINESS = 0.35
"""Above it a stretch is music or a tone, unless the folder's gate `most_steadiness` says else."""
EVEN_DB = 5.0
"""Noise keeps its level within this standard deviation; claps, clicks and voices do not."""

NARROW_FROM_HERTZ = 4_200.0
NARROW_SHARE = 1e-5
"""Power above NARROW_FROM_HERTZ, of the whole, below which a sound went through a telephone."""
NOISY_DB = 15.0
"""Range between the loud and the quiet parts of speech, in dB, below which noise fills the pauses;
read speech in a quiet room has 30-50."""


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """How much of a stretch of sound is someone's voice."""

    voiced_seconds: float
    """Time with a pitch between VOICE_HERTZ, pauses left out."""
    liveliness: float
    """Mean change of the spectrum between voiced frames, in dB; a steady tone has none."""


def voice_activity(samples: Samples) -> VoiceActivity:
    """Measure voice by energy, periodicity and change; needs at least VOICE_FRAME samples."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, VOICE_FRAME)[::VOICE_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = (frames**2).mean(axis=1)
    power = np.abs(np.fft.rfft(frames, 2 * VOICE_FRAME, axis=1)) ** 2
    voiced = (energy > AUDIBLE_SHARE * energy.max()) & (_periodicity(power) > VOICED_CORRELATION)
    return VoiceActivity(float(voiced.sum()) * VOICE_HOP / SAMPLE_RATE, _liveliness(power[voiced]))


def _periodicity(power: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the highest normalised autocorrelation in the range of voices, per frame."""
    correlation = np.fft.irfft(power, axis=1)[:, :VOICE_FRAME]
    overlap = 1 - np.arange(VOICE_FRAME) / VOICE_FRAME
    normalised = correlation / (np.maximum(correlation[:, :1], 1e-12) * np.maximum(overlap, 0.25))
    shortest, longest = (int(SAMPLE_RATE / hertz) for hertz in reversed(VOICE_HERTZ))
    highest: npt.NDArray[np.floating] = normalised[:, shortest:longest].max(axis=1)
    return highest


def _liveliness(power: npt.NDArray[np.floating]) -> float:
    """Return the mean over 32 bands of the standard deviation in time of their level, in dB."""
    if len(power) < 2:
        return 0.0
    bands = power[:, 1:].reshape(len(power), 32, -1).mean(axis=2)
    level = 10 * np.log10(bands / max(float(bands.mean()), 1e-12) + 1e-6)
    return float(level.std(axis=0).mean())


class Heard(StrEnum):
    """What is in a stretch of sound. All but SPEECH are codes of an abstention."""

    SPEECH = "speech"
    MUSIC = "music"
    NOISE = "noise"
    NO_SPEECH = "no_speech"


def hear(samples: Samples, gates: Mapping[str, float]) -> Heard:
    """Say what a stretch holds, by the gates of the speech detector's model folder."""
    if len(samples) < VOICE_FRAME:
        return Heard.NO_SPEECH
    if steadiness(samples) > gates.get("most_steadiness", MOST_STEADINESS):
        return Heard.MUSIC
    active = voice_activity(samples)
    if active.voiced_seconds < gates["least_voiced_seconds"]:
        return Heard.NOISE if _is_even(samples) else Heard.NO_SPEECH
    is_lively = active.liveliness >= gates["least_liveliness_db"]
    return Heard.SPEECH if is_lively else Heard.NO_SPEECH


def steadiness(samples: Samples) -> float:
    """Return the share of partials, by their height, that stand still for three frames: 0..1.

    Notes and tones are above .6, unless they waver like strings; speech is below .2.
    """
    if len(samples) < TONE_FRAME + 2 * TONE_HOP:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples, TONE_FRAME)[::TONE_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(TONE_FRAME), axis=1)) ** 2
    places, heights = _partials(10 * np.log10(power + 1e-14))
    still = _is_near(places[1:-1], places[:-2]) & _is_near(places[1:-1], places[2:])
    total = heights[1:-1].sum()
    return float((heights[1:-1] * still).sum() / total) if total >= LEAST_TONES_DB else 0.0


def _partials(levels: Floats) -> tuple[Floats, Floats]:
    """Return each peak's place in bins (else NaN) and its height in dB (else 0), by frame and bin.

    Places are interpolated by a parabola through three bins (Smith and Serra 1987).
    """
    low, high = (round(hertz * TONE_FRAME / SAMPLE_RATE) for hertz in TONE_HERTZ)
    here, left, right = (levels[:, low + by : high + by] for by in (0, -1, 1))
    around = np.stack([levels[:, low + by : high + by] for by in (-5, -4, 4, 5)]).mean(axis=0)
    loudest = levels.max()
    is_peak = (here > left) & (here >= right) & (here > around + TONE_HEIGHT_DB)
    is_peak &= here > loudest - TONE_DEPTH_DB
    shift = (right - left) / np.maximum(2 * (2 * here - left - right), 1e-9)
    places = np.where(is_peak, np.arange(low, high) + shift, np.nan)
    return places, np.where(is_peak, here - around, 0.0)


def _is_near(places: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Whether each place has one among `others` within TONE_SHIFT, in the same bin or the next."""
    found = np.zeros(places.shape, np.bool_)
    for by in (-1, 0, 1):
        found |= np.abs(places - np.roll(others, by, axis=1)) < TONE_SHIFT
    return found


def _is_even(samples: Samples) -> bool:
    return bool(_levels_db(samples).std() < EVEN_DB)


def _levels_db(samples: Samples) -> Floats:
    """Return the level of each VOICE_FRAME, in dB."""
    frames = samples[: len(samples) // VOICE_FRAME * VOICE_FRAME].reshape(-1, VOICE_FRAME)
    levels: Floats = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    return levels


def is_narrow_band(samples: Samples) -> bool:
    """Whether there is next to nothing above 4.2 kHz: a telephone, or a codec made for one."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    edge = int(len(power) * NARROW_FROM_HERTZ / (SAMPLE_RATE / 2))
    return bool(power[edge:].sum() < NARROW_SHARE * power.sum())


def is_noisy(samples: Samples) -> bool:
    """Whether the pauses of speech are filled with noise."""
    quiet, loud = np.quantile(_levels_db(samples), [0.1, 0.9])
    return bool(loud - quiet < NOISY_DB)
