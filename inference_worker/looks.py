"""Which detector looks at which part of the content, and what their answers add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_worker.registry import Registry
from inference_worker.types import (
    Abstention,
    Content,
    Detector,
    Footage,
    Judgement,
    Modality,
    Passage,
    Picture,
    Prepared,
    Recording,
    Score,
    Segment,
)

FRAMES_THAT_DECIDE = 3
"""A video scores as the mean of its highest frames: one is chance, three are a finding."""


class Sense(StrEnum):
    """Which of the three scores a judgement feeds."""

    TEXT = "text"
    AUDIO = "audio"
    VISUAL = "visual"


@dataclass(frozen=True, slots=True)
class Look:
    """One detector on one part of the content: prepared windows, or already an abstention."""

    sense: Sense
    detector: Detector
    prepared: Prepared | Abstention
    at_seconds: float | None = None
    """Place on the time line, for a frame of a video."""

    @property
    def window_count(self) -> int:
        """How many windows wait for a forward pass."""
        return len(self.prepared.windows) if isinstance(self.prepared, Prepared) else 0

    def judge(self, logits: npt.NDArray[np.float32]) -> Judgement:
        """Return the judgement, given the logits of this look's windows."""
        if isinstance(self.prepared, Abstention):
            return self.prepared
        return self.detector.interpret(self.prepared, logits)


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement on the content as a whole, and the score it feeds."""

    sense: Sense
    judgement: Judgement


def look_at(content: Content, registry: Registry) -> list[Look]:
    """Prepare the content for every detector that can judge a part of it. CPU only."""
    return [
        Look(sense, detector, detector.prepare(part), at)
        for modality, sense, part, at in _parts(content)
        for detector in registry.for_modality(modality)
    ]


def _parts(content: Content) -> Iterator[tuple[Modality, Sense, Any, float | None]]:
    match content:
        case Passage():
            yield Modality.TEXT, Sense.TEXT, content, None
        case Recording():
            yield Modality.AUDIO, Sense.AUDIO, content, None
        case Picture():
            yield Modality.IMAGE, Sense.VISUAL, content, None
        case Footage():
            for frame in content.frames:
                yield Modality.IMAGE, Sense.VISUAL, frame.picture, frame.at_seconds
            if content.sound is not None:
                yield Modality.AUDIO, Sense.AUDIO, content.sound, None


def add_up(content: Content, looked: Sequence[tuple[Look, Judgement]]) -> list[Judged]:
    """Merge the judgements on single frames into one for each detector; keep the others."""
    whole = [Judged(look.sense, judged) for look, judged in looked if look.at_seconds is None]
    frames: dict[str, list[tuple[Look, Judgement]]] = {}
    for look, judged in looked:
        if look.at_seconds is not None:
            frames.setdefault(look.detector.name, []).append((look, judged))
    over_frames = [_over_frames(content, each) for each in frames.values()]
    return over_frames + whole + _missing_parts(content)


def _missing_parts(content: Content) -> list[Judged]:
    """Say what a video lacks, so that an empty score never goes unexplained."""
    if not isinstance(content, Footage):
        return []
    missing = []
    if not content.frames:
        missing.append((Sense.VISUAL, "synthetic_image", "no_picture", "The video has no picture."))
    if content.sound is None:
        missing.append(
            (Sense.AUDIO, "synthetic_speech", "no_sound", "The video has no sound track.")
        )
    return [
        Judged(sense, Abstention("video", "1", label, code, reason))
        for sense, label, code, reason in missing
    ]


def _over_frames(content: Content, looked: Sequence[tuple[Look, Judgement]]) -> Judged:
    scored = [
        (look.at_seconds or 0.0, judged) for look, judged in looked if isinstance(judged, Score)
    ]
    if not scored:
        return Judged(Sense.VISUAL, looked[0][1])
    end = content.duration_seconds if isinstance(content, Footage) else 0.0
    ends = [at for at, _ in scored[1:]] + [max(end, scored[-1][0])]
    highest = sorted((judged.probability for _, judged in scored), reverse=True)
    deciding = highest[:FRAMES_THAT_DECIDE]
    return Judged(
        Sense.VISUAL,
        replace(
            scored[0][1],
            probability=sum(deciding) / len(deciding),
            raw=max(judged.raw for _, judged in scored),
            segments=tuple(
                Segment(at, until, judged.probability)
                for (at, judged), until in zip(scored, ends, strict=True)
            ),
            notes={"frames_judged": len(scored), "frames_seen": len(looked)},
        ),
    )


def facts_of(content: Content) -> dict[str, float | int | bool]:
    """Return what is worth keeping of the decoded content: sizes and durations."""
    match content:
        case Passage():
            return {"characters": len(content.text)}
        case Recording():
            return {
                "duration_seconds": round(content.duration_seconds, 2),
                "truncated": content.truncated,
            }
        case Picture():
            return {"width": content.original_width, "height": content.original_height}
        case Footage():
            return {
                "duration_seconds": round(content.duration_seconds, 2),
                "width": content.width,
                "height": content.height,
                "frames_judged": len(content.frames),
                "has_sound": content.sound is not None,
            }
