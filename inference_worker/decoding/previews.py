"""Small views of decoded content for the review page: a waveform's outline, a thumbnail."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from PIL import Image

from inference_worker.types import Picture, Recording


def peaks(recording: Recording, count: int) -> list[float]:
    """Return the loudest absolute sample, 0..1, of each of `count` equal parts of the time line.

    A recording with fewer samples than that gives one peak a sample. Where a long recording was
    left out, the peak of the nearest part that was kept is repeated.
    """
    loudness = np.abs(recording.samples)
    if not recording.stretches:
        parts = np.array_split(loudness, max(1, min(count, len(loudness))))
        return [round(float(part.max(initial=0.0)), 4) for part in parts]
    edges = np.linspace(0, recording.duration_seconds, count + 1).tolist()
    places = [recording.at(edge) for edge in edges]
    found = [loudness[i:j].max() if j > i else np.nan for i, j in pairwise(places)]
    known = np.flatnonzero(np.isfinite(found))
    nearest = known[np.abs(known[:, None] - np.arange(count)).argmin(axis=0)]
    return [round(float(found[place]), 4) for place in nearest]


def jpeg(picture: Picture, max_side: int) -> bytes:
    """Return `picture` as JPEG without metadata, its longest side at most `max_side` pixels."""
    image = Image.fromarray(picture.pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()
