"""Makes a real voice synthetic while speaker, words, room and level stay the same.

Trained on such copies, a model learns what synthesis does to a voice, and not whose voice it is.
Each kind imitates what some family of vocoders does wrong; none of them is a trained vocoder.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from inference_worker.types import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.floating]

PITCH_FRAME, PITCH_HOP = 640, 160
PITCH_LAGS = (40, 230)
"""In samples: 400 down to 70 Hz."""
VOICED = 0.5
"""Normalised autocorrelation from which a frame counts as voiced."""
FAINTEST = 1e-7


def griffin_lim(samples: Samples, rng: np.random.Generator) -> Samples:
    """Rebuild from the mel spectrogram with guessed phases.

    Griffin & Lim 1984 from 40-100 mel bands with 2-24 rounds; few rounds leave the phase noise of
    weak vocoders, many that of good ones.
    """
    size = int(rng.choice([512, 1024]))
    smooth = _mel_smoothed(np.abs(_spectrum(samples, size)), int(rng.choice([40, 64, 80, 100])))
    angle: Floats = rng.uniform(-np.pi, np.pi, smooth.shape)
    for _ in range(int(rng.integers(2, 25))):
        angle = np.angle(_spectrum(_sound(smooth * np.exp(1j * angle), size, len(samples)), size))
    return _sound(smooth * np.exp(1j * angle), size, len(samples))


def blurred(samples: Samples, rng: np.random.Generator) -> Samples:
    """Blur harmonics and phases towards the upper bands, as good neural vocoders still do."""
    size = int(rng.choice([512, 1024]))
    spectrum = _spectrum(samples, size)
    magnitude = np.maximum(np.abs(spectrum), FAINTEST)
    smooth = _mel_smoothed(magnitude, int(rng.choice([64, 80, 100])))
    share = _rising(len(magnitude), rng.uniform(0.05, 0.6), rng.uniform(0.01, 0.08))
    share = share * rng.uniform(0.4, 1.0)
    target = np.exp((1 - share) * np.log(magnitude) + share * np.log(smooth))
    angle: Floats = np.angle(spectrum) + share * rng.normal(
        0, rng.uniform(0.3, 1.8), spectrum.shape
    )
    sound = _sound(target * np.exp(1j * angle), size, len(samples))
    for _ in range(int(rng.integers(0, 4))):
        angle = np.angle(_spectrum(sound, size))
        sound = _sound(target * np.exp(1j * angle), size, len(samples))
    return sound


def excited(samples: Samples, rng: np.random.Generator) -> Samples:
    """Send pulses at the voice's pitch and noise through its envelope: a source-filter vocoder."""
    size = int(rng.choice([512, 1024]))
    pulses, voiced = _pulses(samples)
    noise = rng.normal(size=len(samples)).astype(np.float32)
    share = _rising(size // 2 + 1, rng.uniform(0.3, 0.9), 0.02)
    of_pulses, of_noise = _spectrum(pulses * voiced, size), _spectrum(noise, size)
    held = np.interp(np.arange(of_noise.shape[1]) * (size // 4), np.arange(len(voiced)), voiced)
    mixed = held * ((1 - share) * of_pulses + share * of_noise) + (1 - held) * of_noise
    flat = mixed / np.maximum(_mel_smoothed(np.abs(mixed), 40), 1e-3)
    envelope = _mel_smoothed(np.abs(_spectrum(samples, size)), int(rng.choice([40, 64, 80])))
    sound = _sound(envelope * flat, size, len(samples))
    return np.asarray(sound * (samples.std() / max(float(sound.std()), 1e-6)), np.float32)


def noisy(samples: Samples, rng: np.random.Generator) -> Samples:
    """Leave noise that follows the envelope, as diffusion and autoregressive vocoders do."""
    spectrum = _spectrum(samples, 512)
    envelope = _mel_smoothed(np.abs(spectrum), int(rng.choice([40, 64, 80])))
    noise = _spectrum(rng.normal(size=len(samples)).astype(np.float32), 512)
    noise = noise / np.sqrt((np.abs(noise) ** 2).mean())
    tilt = 1 + rng.uniform(0, 3) * np.linspace(0, 1, len(spectrum))[:, None]
    share = 10 ** (rng.uniform(-24, -8) / 20) * tilt
    kept = 1 - np.minimum(share, 0.9) ** 2
    return _sound(kept * spectrum + share * envelope * noise, 512, len(samples))


KINDS: tuple[Callable[[Samples, np.random.Generator], Samples], ...] = (
    griffin_lim,
    blurred,
    excited,
    noisy,
)


def _spectrum(samples: Samples, size: int) -> Spectrum:
    """Return the short-time spectrum, shape (size / 2 + 1, frames), a quarter of `size` apart."""
    window = torch.hann_window(size)
    wave = torch.from_numpy(np.ascontiguousarray(samples))
    found = torch.stft(wave, size, size // 4, window=window, return_complex=True)
    return np.asarray(found.numpy(), np.complex64)


def _sound(spectrum: npt.NDArray[np.inexact], size: int, count: int) -> Samples:
    """Return the sound whose short-time spectrum comes nearest; the opposite of _spectrum."""
    wave = torch.istft(
        torch.from_numpy(spectrum.astype(np.complex64)),
        size,
        size // 4,
        window=torch.hann_window(size),
        length=count,
    )
    return np.asarray(wave.numpy(), np.float32)


def _mel_smoothed(magnitude: Floats, bands: int) -> Floats:
    """Return the magnitudes that `bands` mel bands still tell of."""
    filters = _mel_filters(len(magnitude), bands)
    smooth: Floats = np.maximum(np.linalg.pinv(filters) @ (filters @ magnitude), FAINTEST)
    return smooth


def _mel_filters(bins: int, bands: int) -> npt.NDArray[np.float32]:
    """Triangular filters, shape (bands, bins), evenly spaced on the HTK mel scale."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    hertz = np.linspace(0, SAMPLE_RATE / 2, bins)
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)


def _rising(bins: int, edge: float, width: float) -> Floats:
    """Return a step from 0 to 1 over the frequencies, (bins, 1); `edge` is a share of them."""
    at = np.linspace(0, 1, bins)[:, None]
    step: Floats = 1 / (1 + np.exp(-(at - edge) / width))
    return step


def _pulses(samples: Samples) -> tuple[Samples, Samples]:
    """Return one pulse a period of the voice's pitch, and where there is a voice (0..1)."""
    padded = np.pad(samples, PITCH_FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, PITCH_FRAME)[::PITCH_HOP]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(PITCH_FRAME)
    power = np.abs(np.fft.rfft(frames, 2 * PITCH_FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : PITCH_LAGS[1]]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12)
    lags = correlation[:, PITCH_LAGS[0] :].argmax(axis=1) + PITCH_LAGS[0]
    held = correlation[np.arange(len(lags)), lags] > VOICED * (1 - lags / PITCH_FRAME)
    places, at = np.arange(len(samples)), np.arange(len(lags)) * PITCH_HOP
    hertz = np.interp(places, at, SAMPLE_RATE / lags)
    starts = np.diff(np.floor(np.cumsum(hertz) / SAMPLE_RATE), prepend=0) > 0
    pulses = np.where(starts, np.sqrt(SAMPLE_RATE / hertz), 0.0)
    return pulses.astype(np.float32), np.interp(places, at, held).astype(np.float32)
