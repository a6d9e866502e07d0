"""What happens to a voice on its way to us, so that a model in training cannot lean on it.

Codec, bandwidth, noise and room must not tell real from synthetic.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, resample_poly

from inference_worker.types import SAMPLE_RATE

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Codec:
    """One lossy way to store speech. `rates` are in Hz, `bit_rates` in bit/s."""

    encoder: str
    container: str
    rates: tuple[int, ...]
    bit_rates: tuple[int, ...]


CODECS = (
    Codec("libmp3lame", "mp3", (16_000, 22_050, 44_100), (24_000, 32_000, 64_000, 96_000)),
    Codec("libopus", "ogg", (16_000, 48_000), (8_000, 12_000, 16_000, 24_000, 48_000)),
    Codec("aac", "adts", (16_000, 22_050, 44_100), (24_000, 32_000, 64_000)),
    Codec("pcm_mulaw", "wav", (8_000,), (64_000,)),
    Codec("g722", "wav", (16_000,), (64_000,)),
    Codec("libopencore_amrnb", "amr", (8_000,), (4_750, 7_950, 12_200)),
)


def read(source: str | io.BytesIO) -> Samples:
    """Decode a file to mono float32 at SAMPLE_RATE, shape (n,)."""
    with av.open(source, "r") as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        pieces = [p for frame in container.decode(audio=0) for p in resampler.resample(frame)]
        pieces += resampler.resample(None)
    return np.asarray(np.concatenate([p.to_ndarray()[0] for p in pieces]), np.float32)


def through_codec(samples: Samples, codec: Codec, rate: int, bit_rate: int) -> Samples:
    """Encode and decode again; a few ms of encoder delay may be added."""
    stored = io.BytesIO()
    with av.open(stored, "w", format=codec.container) as container:
        # Typed Any: the stubs cannot tell that these encoders are audio.
        stream: Any = container.add_stream(
            codec.encoder, rate=rate, layout="mono", bit_rate=bit_rate
        )
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    stored.seek(0)
    return read(stored)


def damage(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the voice after a random journey: another pace, room, noise, bandwidth, codec."""
    for chance, step in _STEPS:
        if rng.random() < chance:
            samples = step(samples, rng)
    return samples.astype(np.float32)


def _pace(samples: Samples, rng: np.random.Generator) -> Samples:
    return np.asarray(resample_poly(samples, int(rng.integers(92, 109)), 100), np.float32)


def _room(samples: Samples, rng: np.random.Generator) -> Samples:
    length = int(SAMPLE_RATE * rng.uniform(0.05, 0.5))
    echo = rng.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
    echo *= rng.uniform(0.1, 0.5) / np.sqrt((echo**2).sum())
    wet: Samples = samples + fftconvolve(samples, echo)[: len(samples)].astype(np.float32)
    return wet


def _noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Add noise with a random colour at 8-40 dB below the voice."""
    spectrum = np.fft.rfft(rng.normal(size=len(samples)))
    spectrum *= np.arange(1, len(spectrum) + 1) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(samples))
    gain = 10 ** (-rng.uniform(8, 40) / 20) * samples.std() / max(noise.std(), 1e-9)
    return np.asarray(samples + gain * noise, np.float32)


def _tone_control(samples: Samples, rng: np.random.Generator) -> Samples:
    """Apply a smooth random frequency response of about 6 dB, as microphones do."""
    return _filtered(samples, rng.normal(0, 4, size=8))


def _narrow_band(samples: Samples, rng: np.random.Generator) -> Samples:
    """Cut everything above 3.4-7.8 kHz, with a slope of 60 dB."""
    edge = rng.uniform(3_400, 7_800) / (SAMPLE_RATE / 2)
    return _filtered(samples, np.where(np.linspace(0, 1, 65) > edge, -60.0, 0.0))


def _filtered(samples: Samples, decibels: npt.NDArray[np.floating]) -> Samples:
    spectrum = np.fft.rfft(samples)
    at = np.linspace(0, len(decibels) - 1, len(spectrum))
    spectrum *= 10 ** (np.interp(at, np.arange(len(decibels)), decibels) / 20)
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def _codec(samples: Samples, rng: np.random.Generator) -> Samples:
    codec = CODECS[rng.integers(len(CODECS))]
    level = 0.5 / max(float(np.abs(samples).max()), 1e-6)
    rate, bit_rate = int(rng.choice(codec.rates)), int(rng.choice(codec.bit_rates))
    return through_codec(samples * np.float32(level), codec, rate, bit_rate)


_STEPS = (
    (0.3, _pace),
    (0.25, _room),
    (0.5, _tone_control),
    (0.5, _noise),
    (0.4, _narrow_band),
    (0.6, _codec),
)
