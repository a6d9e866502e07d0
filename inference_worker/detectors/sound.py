"""What the speech detector judges by: statistics of a voice's spectrum.

With little training data, fixed statistics over a window generalise to unheard generators far
better than a network that learns from the spectrogram itself (see the model card).
"""

from __future__ import annotations

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
LONG_FFT, LONG_HOP = 2048, 512
"""128 ms: long enough to see how sharp a harmonic is."""
LONG_BANDS = 32
"""250 Hz wide, so with at least one harmonic of nearly every voice."""
FAINT_SHARE = 0.4
"""The faintest frames, left out of the flatness."""
STATISTICS = 3 * COEFFICIENTS + 5 * BANDS // 4 + len(LAGS) * BANDS // 8 + 2 * LONG_BANDS


def log_spectrum(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the level-free log spectrum of one window, shape (BANDS, FRAMES).

    A shorter window is repeated to full length; a longer one is cut.
    """
    filled = _filled(samples)
    frames = np.lib.stride_tricks.sliding_window_view(filled, FFT_SAMPLES)[::HOP_SAMPLES]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT_SAMPLES), axis=1)[:, 1:]) ** 2
    bands = power.reshape(FRAMES, BANDS, -1).mean(axis=2)
    relative = bands / max(float(bands.mean()), 1e-12)
    return np.asarray(np.log(relative + FLOOR).T, np.float32)


def _filled(samples: Samples) -> Samples:
    wanted = FRAMES * HOP_SAMPLES + FFT_SAMPLES - HOP_SAMPLES
    return np.resize(samples, wanted) if len(samples) < wanted else samples[:wanted]


def voice_statistics(samples: Samples) -> npt.NDArray[np.float32]:
    """Return how one window's spectrum varies and how sharp its harmonics are, (STATISTICS,).

    No mean levels are among them: those describe speaker, microphone and channel.
    """
    found = [_statistics(log_spectrum(samples)), _flatness(samples)]
    return np.asarray(np.concatenate(found), np.float32)


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


def _flatness(samples: Samples) -> Floats:
    """Mean and spread in time of the spectral flatness in LONG_BANDS bands, in nepers.

    Flatness is the logarithm of the geometric over the arithmetic mean of the power. Vocoders make
    harmonics that are too blurred in the upper bands, or too clean.
    """
    frames = np.lib.stride_tricks.sliding_window_view(_filled(samples), LONG_FFT)[::LONG_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(LONG_FFT), axis=1)[:, 1:]) ** 2
    relative = power / max(float(power.mean()), 1e-12) + FLOOR
    bands = relative.reshape(len(relative), LONG_BANDS, -1)
    flatness = np.log(bands).mean(axis=2) - np.log(bands.mean(axis=2))
    loudness = np.log(relative).mean(axis=1)
    voice = flatness[loudness >= np.quantile(loudness, FAINT_SHARE)]
    return np.concatenate([voice.mean(axis=0), voice.std(axis=0)])


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
