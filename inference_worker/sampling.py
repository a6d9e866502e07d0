"""What of a long recording or video no detector looked at, in words for a reviewer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from inference_worker.types import SAMPLE_RATE, Footage, Observation, Recording

LONG_GAP_SECONDS = 30.0
"""Time between two judged frames of a video from which a reviewer is told."""


def unheard(recording: Recording) -> Iterator[Observation]:
    """Say how much of a recording was listened to, if not all."""
    if not recording.stretches:
        return
    heard = len(recording.samples) / SAMPLE_RATE
    gap = max(_gaps(recording))
    yield Observation(
        detector="sampling",
        version="1",
        code="sampled_sound",
        severity="info",
        message=(
            f"The sound is {clock(recording.duration_seconds)} long; {clock(heard)} of it were "
            f"listened to, in {len(recording.stretches)} stretches spread over the whole. "
            f"The longest part left out is {clock(gap)}."
        ),
        details={
            "duration_seconds": round(recording.duration_seconds, 1),
            "heard_seconds": round(heard, 1),
            "stretches": len(recording.stretches),
            "longest_gap_seconds": round(gap, 1),
        },
    )


def _gaps(recording: Recording) -> Iterator[float]:
    at = 0.0
    for start, samples in recording.parts():
        yield start - at
        at = start + len(samples) / SAMPLE_RATE
    yield recording.duration_seconds - at


def unseen(footage: Footage) -> Iterator[Observation]:
    """Say how far apart the judged frames of a video are, if that is far."""
    places = [0.0, *(frame.at_seconds for frame in footage.frames), footage.duration_seconds]
    gap = max(after - before for before, after in pairwise(places))
    if gap < LONG_GAP_SECONDS or not footage.frames:
        return
    yield Observation(
        detector="sampling",
        version="1",
        code="sampled_pictures",
        severity="info",
        message=(
            f"The video is {clock(footage.duration_seconds)} long; {len(footage.frames)} frames "
            f"from {_scenes(footage.scenes)} were judged. The longest part without a judged frame "
            f"is {clock(gap)}."
        ),
        details={
            "duration_seconds": round(footage.duration_seconds, 1),
            "frames": len(footage.frames),
            "scenes": footage.scenes,
            "longest_gap_seconds": round(gap, 1),
        },
    )


def _scenes(count: int) -> str:
    return "1 scene" if count == 1 else f"{count} scenes"


def clock(seconds: float) -> str:
    """Return a time as 1:02:03, or 2:03 below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
