"""Small views of decoded content for the review page: a waveform's outline, a thumbnail."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from inference_worker.types import Picture, Recording


def peaks(recording: Recording, count: int) -> list[float]:
    """Return the loudest absolute sample, 0..1, of each of `count` equal stretches.

    A recording with fewer samples than that gives one peak a sample.
    """
    loudness = np.abs(recording.samples)
    stretches = np.array_split(loudness, max(1, min(count, len(loudness))))
    return [round(float(stretch.max(initial=0.0)), 4) for stretch in stretches]


def jpeg(picture: Picture, max_side: int) -> bytes:
    """Return `picture` as JPEG without metadata, its longest side at most `max_side` pixels."""
    image = Image.fromarray(picture.pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()
