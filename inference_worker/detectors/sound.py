"""What the speech detector hears: statistics of a voice's spectrum, and whether anyone speaks.

With little training data, fixed statistics over a window generalise to unheard generators far
better than a network that learns from the spectrogram itself (see the model card).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.ndimage import uniform_filter1d

from inference_worker.types import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

WINDOW_SECONDS = 4.0
FFT_SAMPLES = 512
"""32 ms: long enough to part the harmonics of a voice, whose fine structure vocoders blur."""
HOP_SAMPLES = 160
FRAMES = int(WINDOW_SECONDS * SAMPLE_RATE) // HOP_SAMPLES
BANDS = 128
"""Linear, 62.5 Hz wide: a mel scale would smear the upper bands, where vocoders err most."""
FLOOR = 1e-5
"""Added to the relative power before the logarithm (50 dB below the mean): what lies deeper
is codec and quantisation noise, which must not become a cue."""
PAUSE_SHARE = 0.3
"""The quietest frames of a window, left out of the statistics of the voice itself."""
COEFFICIENTS = 30
"""Linear-frequency cepstral coefficients kept."""
LAGS = (1, 2, 3, 4, 6)
"""Frames between which the change of the spectrum is compared with itself."""
STATISTICS = 3 * COEFFICIENTS + 5 * BANDS // 4 + len(LAGS) * BANDS // 8

VOICE_FRAME = 640
"""40 ms: three periods of the lowest voice."""
VOICE_HOP = 320
VOICE_HERTZ = (70.0, 400.0)
VOICED_CORRELATION = 0.45
"""Noise stays below .35 at this frame length, voiced speech is mostly above .6."""
AUDIBLE_SHARE = 1e-3
"""Frames more than 30 dB below the loudest count as pauses."""


def log_spectrum(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the level-free log spectrum of one window, shape (BANDS, FRAMES).

    A shorter window is repeated to full length; a longer one is cut.
    """
    wanted = FRAMES * HOP_SAMPLES + FFT_SAMPLES - HOP_SAMPLES
    filled = np.resize(samples, wanted) if len(samples) < wanted else samples[:wanted]
    frames = np.lib.stride_tricks.sliding_window_view(filled, FFT_SAMPLES)[::HOP_SAMPLES]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT_SAMPLES), axis=1)[:, 1:]) ** 2
    bands = power.reshape(FRAMES, BANDS, -1).mean(axis=2)
    relative = bands / max(float(bands.mean()), 1e-12)
    return np.asarray(np.log(relative + FLOOR).T, np.float32)


def voice_statistics(samples: Samples) -> npt.NDArray[np.float32]:
    """Return how one window's spectrum varies, shape (STATISTICS,).

    No means over time are among them: those describe speaker, microphone and channel.
    """
    return _statistics(log_spectrum(samples))


def _statistics(spectrum: Floats) -> npt.NDArray[np.float32]:
    loudness = spectrum.mean(axis=0)
    voice = spectrum[:, loudness >= np.quantile(loudness, PAUSE_SHARE)]
    change = np.diff(spectrum, axis=1)
    parts = (
        _cepstral_spread(voice, spectrum),
        _fine_structure(voice),
        _averaged(change.std(axis=1), BANDS // 4),
        _averaged(np.diff(change, axis=1).std(axis=1), BANDS // 4),
        _averaged(_skewness(voice), BANDS // 4),
        _self_similarity(change),
    )
    return np.concatenate(parts).astype(np.float32)


def _cepstral_spread(voice: Floats, spectrum: Floats) -> Floats:
    """Spread in time of the cepstrum and of its first and second change."""
    change = np.diff(_cepstrum(spectrum), axis=1)
    curves = (_cepstrum(voice), change, np.diff(change, axis=1))
    return np.concatenate([curve.std(axis=1) for curve in curves])


def _cepstrum(spectrum: Floats) -> Floats:
    coefficients: Floats = dct(spectrum, axis=0, norm="ortho")[:COEFFICIENTS]
    return coefficients


def _fine_structure(voice: Floats) -> Floats:
    """Depth and peakedness of the harmonics: the spectrum less its mean over seven bands."""
    fine = voice - uniform_filter1d(voice, 7, axis=0, mode="nearest")
    peakedness = (fine**4).mean(axis=1) / np.maximum((fine**2).mean(axis=1) ** 2, 1e-9)
    return np.concatenate([_averaged(s, BANDS // 4) for s in (fine.std(axis=1), peakedness)])


def _skewness(voice: Floats) -> Floats:
    centred = voice - voice.mean(axis=1, keepdims=True)
    skewness: Floats = (centred**3).mean(axis=1) / np.maximum(voice.std(axis=1), 1e-2) ** 3
    return skewness


def _self_similarity(change: Floats) -> Floats:
    """Correlation of the spectrum's change with itself some frames later, in 16 bands."""
    power = np.maximum(_averaged((change**2).mean(axis=1), BANDS // 8), 1e-9)
    lagged = [(change[:, :-lag] * change[:, lag:]).mean(axis=1) for lag in LAGS]
    return np.concatenate([_averaged(products, BANDS // 8) / power for products in lagged])


def _averaged(bands: Floats, count: int) -> Floats:
    """Average neighbouring bands, leaving `count`."""
    means: Floats = bands.reshape(count, -1).mean(axis=1)
    return means


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
