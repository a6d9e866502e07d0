"""Conditions under which a voice reaches us, each one exactly: for measuring, not for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, lfilter, resample_poly

from inference_worker.training.sound_damage import Codec, through_codec
from inference_worker.types import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
Change = Callable[[Samples, np.random.Generator, Samples], Samples]
"""Takes the voice, randomness, and other voices as long as it: all mono at SAMPLE_RATE."""

PACKET_SAMPLES = SAMPLE_RATE // 50
"""20 ms: what one packet of a call holds."""


def _codec(encoder: str, container: str, rate: int, bit_rate: int) -> Change:
    codec = Codec(encoder, container, (rate,), (bit_rate,))

    def change(samples: Samples, rng: np.random.Generator, others: Samples) -> Samples:
        level = np.float32(0.5 / max(float(np.abs(samples).max()), 1e-6))
        return through_codec(samples * level, codec, rate, bit_rate)

    return change


def _clean(samples: Samples, rng: np.random.Generator, others: Samples) -> Samples:
    return samples


def _white(samples: Samples, rng: np.random.Generator, others: Samples, *, snr: int) -> Samples:
    return _mixed(samples, rng.normal(size=len(samples)), snr)


def _babble(samples: Samples, rng: np.random.Generator, others: Samples, *, snr: int) -> Samples:
    return _mixed(samples, others, snr)


def _street(samples: Samples, rng: np.random.Generator, others: Samples, *, snr: int) -> Samples:
    """Rumble that swells as cars pass, and a horn."""
    time = np.arange(len(samples)) / SAMPLE_RATE
    rumble = lfilter([1], [1, -0.97], rng.normal(size=len(samples)))
    swell = 0.3 + np.sin(np.pi * (time * rng.uniform(0.1, 0.4) + rng.uniform())) ** 2
    horn = np.sign(np.sin(2 * np.pi * rng.uniform(350, 500) * time))
    horn *= (time > (start := rng.uniform(0, time[-1]))) & (time < start + 0.4)
    return _mixed(samples, rumble * swell + 0.5 * rumble.std() * horn, snr)


def _mixed(samples: Samples, noise: npt.NDArray[np.floating], snr: int) -> Samples:
    """Add noise `snr` dB below the voice."""
    gain = 10 ** (-snr / 20) * float(samples.std()) / max(float(noise.std()), 1e-9)
    return np.asarray(samples + gain * noise, np.float32)


def _resampled(
    samples: Samples, rng: np.random.Generator, others: Samples, *, rate: int
) -> Samples:
    there = resample_poly(samples, rate, SAMPLE_RATE)
    return np.asarray(resample_poly(there, SAMPLE_RATE, rate), np.float32)


def _room(samples: Samples, rng: np.random.Generator, others: Samples) -> Samples:
    """A reverberation time of 0.6 s, the echo as loud as the voice itself."""
    length = int(0.6 * SAMPLE_RATE)
    echo = rng.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
    wet = fftconvolve(samples, echo / np.sqrt((echo**2).sum()))[: len(samples)]
    return np.asarray(samples + wet, np.float32)


def _clipped(samples: Samples, rng: np.random.Generator, others: Samples) -> Samples:
    """Cut at a quarter of the peak, as a microphone held too near does."""
    limit = 0.25 * float(np.abs(samples).max())
    return np.clip(samples, -limit, limit)


def _paced(samples: Samples, rng: np.random.Generator, others: Samples, *, pace: int) -> Samples:
    """Play at `pace` percent; the pitch goes with it."""
    return np.asarray(resample_poly(samples, 100, pace), np.float32)


def _lossy(samples: Samples, rng: np.random.Generator, others: Samples) -> Samples:
    """Lose every tenth packet by chance; the one before is repeated, softer, in its place."""
    heard = samples.copy()
    for start in range(PACKET_SAMPLES, len(samples) - PACKET_SAMPLES + 1, PACKET_SAMPLES):
        if rng.random() < 0.1:
            heard[start : start + PACKET_SAMPLES] = heard[start - PACKET_SAMPLES : start] / 2
    return heard


CONDITIONS: Mapping[str, Change] = {
    "as it is": _clean,
    "AMR 12.2 kbit/s": _codec("libopencore_amrnb", "amr", 8_000, 12_200),
    "AMR 4.75 kbit/s": _codec("libopencore_amrnb", "amr", 8_000, 4_750),
    "telephone, mu-law": _codec("pcm_mulaw", "wav", 8_000, 64_000),
    "Opus 6 kbit/s": _codec("libopus", "ogg", 16_000, 6_000),
    "Opus 12 kbit/s": _codec("libopus", "ogg", 16_000, 12_000),
    "Opus 24 kbit/s": _codec("libopus", "ogg", 48_000, 24_000),
    "MP3 32 kbit/s": _codec("libmp3lame", "mp3", 22_050, 32_000),
    "MP3 64 kbit/s": _codec("libmp3lame", "mp3", 44_100, 64_000),
    "AAC 32 kbit/s": _codec("aac", "adts", 22_050, 32_000),
    **{f"white noise {snr} dB": partial(_white, snr=snr) for snr in (20, 10, 5)},
    **{f"babble {snr} dB": partial(_babble, snr=snr) for snr in (20, 10, 5)},
    **{f"street noise {snr} dB": partial(_street, snr=snr) for snr in (20, 10, 5)},
    **{
        f"resampled at {rate / 1000:g} kHz": partial(_resampled, rate=rate)
        for rate in (8_000, 11_025, 22_050)
    },
    "echo of a hall": _room,
    "clipped": _clipped,
    "10 % slower": partial(_paced, pace=90),
    "10 % faster": partial(_paced, pace=110),
    "packet loss 10 %": _lossy,
}
"""By the name under which docs/detectors.md shows it. Codecs are real encoders and decoders."""
