"""Which detector looks at which part of the content, and what their answers add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_worker.found_text import in_time, kept, messages_of, over_time, passage_of
from inference_worker.ocr.tesseract import installed
from inference_worker.provenance import observe
from inference_worker.registry import Registry
from inference_worker.reliability import GROUPS, weakest
from inference_worker.sampling import unheard, unseen
from inference_worker.types import (
    Abstention,
    Content,
    Detector,
    Footage,
    FoundText,
    Judgement,
    Line,
    Modality,
    Origin,
    Passage,
    Picture,
    Prepared,
    ReadWord,
    Recording,
    Score,
    Segment,
)

FRAMES_THAT_DECIDE = 3
"""A video scores as its worst frames in a row: one is chance, three are a finding."""
STILL_SECONDS = 0.5
"""A picture shown so long is sampled once and judged as a picture; a flash is not judged."""
NOT_IN_FRAMES = frozenset({"manipulated_image"})
"""Labels that are not looked for in a video: its compression repeats and replaces parts."""
MOST_WORDS_KEPT = 300
"""Words of a picture kept with their boxes."""


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
    found_text: FoundText | None = None
    """The text that is looked at, when a machine found it in media."""
    begins: int = 0
    """At which character of the found text the part that is looked at begins."""

    @property
    def window_count(self) -> int:
        """How many windows wait for a forward pass."""
        return len(self.prepared.windows) if isinstance(self.prepared, Prepared) else 0

    def judge(self, logits: npt.NDArray[np.float32]) -> Judgement:
        """Return the judgement, given the logits of this look's windows."""
        if isinstance(self.prepared, Abstention):
            return self.prepared
        judged = self.detector.interpret(self.prepared, logits)
        if self.found_text and isinstance(judged, Score):
            moved = (
                Segment(each.start + self.begins, each.end + self.begins, each.probability)
                for each in judged.segments
            )
            return replace(judged, segments=in_time(self.found_text, moved))
        return judged


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement on the content as a whole, and the score it feeds."""

    sense: Sense
    judgement: Judgement
    origin: Origin | None = None
    """Where the judged text was found; None for what was submitted itself."""


def look_at(content: Content, registry: Registry) -> list[Look]:
    """Prepare the content for every detector that can judge a part of it. CPU only."""
    looks = [
        Look(sense, detector, detector.prepare(part), at)
        for modality, sense, part, at in _parts(content)
        for detector in registry.for_modality(modality)
        if at is None or detector.label not in NOT_IN_FRAMES
    ]
    seen = text_in_pictures(content)
    return looks + look_at_text(seen, registry) if seen else looks


def look_at_text(found: FoundText, registry: Registry) -> list[Look]:
    """Prepare text found in media for every text detector: all of it, and each message by itself.

    Nobody submitted it as a text, so that it is too short to judge is worth no mention.
    """
    looks = (
        Look(Sense.TEXT, detector, detector.prepare(passage), found_text=found, begins=begins)
        for begins, passage in ((0, passage_of(found)), *messages_of(found))
        for detector in registry.for_modality(Modality.TEXT)
    )
    return [look for look in looks if not _is_too_short(look.prepared)]


def _is_too_short(prepared: Prepared | Abstention) -> bool:
    return isinstance(prepared, Abstention) and prepared.code == "too_short"


def text_in_pictures(content: Content) -> FoundText | None:
    """Return what OCR read in a picture or in the frames of a video; None if there is nothing."""
    match content:
        case Picture():
            return over_time(Origin.PICTURE, _ocr(), map(Line, content.text.splitlines()))
        case Footage():
            return over_time(Origin.PICTURE, _ocr(), _shown(content))
        case _:
            return None


def _ocr() -> str:
    program = installed()
    return f"tesseract@{program.version}" if program else "tesseract"


def _shown(footage: Footage) -> Iterator[Line]:
    """Yield what is read in each frame, shown until the next frame."""
    ends = [frame.at_seconds for frame in footage.frames[1:]] + [footage.duration_seconds]
    for frame, end in zip(footage.frames, ends, strict=False):
        yield Line(frame.picture.text, frame.at_seconds, end)


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
    whole = [
        Judged(look.sense, judged)
        for look, judged in looked
        if look.at_seconds is None and look.found_text is None
    ]
    frames: dict[tuple[str, str], list[tuple[Look, Judgement]]] = {}
    for look, judged in looked:
        if look.at_seconds is not None:
            author = look.detector.name, look.detector.version
            frames.setdefault(author, []).append((look, judged))
    over_frames = [_over_frames(content, each) for each in frames.values()]
    return [
        *over_frames,
        *whole,
        *_over_messages(looked),
        *_missing_parts(content),
        *_told(content),
    ]


def _over_messages(looked: Sequence[tuple[Look, Judgement]]) -> list[Judged]:
    """Keep of each detector the highest score of the found text as a whole and of its messages."""
    said: dict[tuple[str, str, Origin], list[Judgement]] = {}
    for look, judged in looked:
        if look.found_text:
            author = look.detector.name, look.detector.version, look.found_text.origin
            said.setdefault(author, []).append(judged)
    return [Judged(Sense.TEXT, _highest(each), origin) for (*_, origin), each in said.items()]


def _highest(said: Sequence[Judgement]) -> Judgement:
    scores = (each for each in said if isinstance(each, Score))
    return max(scores, key=lambda score: score.probability, default=said[0])


def _told(content: Content) -> list[Judged]:
    """Return what is said beside the scores: a content credential, what was not looked at."""
    if isinstance(content, Passage):
        return []
    sense = Sense.AUDIO if isinstance(content, Recording) else Sense.VISUAL
    seen = observe(content.provenance)
    told = [Judged(sense, seen)] if seen else []
    match content:
        case Recording():
            return told + [Judged(Sense.AUDIO, each) for each in unheard(content)]
        case Footage():
            heard = unheard(content.sound) if content.sound else ()
            told += [Judged(Sense.VISUAL, each) for each in unseen(content)]
            return told + [Judged(Sense.AUDIO, each) for each in heard]
    return told


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
    """Score a video as its worst segment; every frame is a segment of its own, too."""
    scored = [
        (look.at_seconds or 0.0, judged) for look, judged in looked if isinstance(judged, Score)
    ]
    if not scored:
        return Judged(Sense.VISUAL, looked[0][1])
    end = content.duration_seconds if isinstance(content, Footage) else 0.0
    is_still = len(scored) == len(looked) and end >= STILL_SECONDS
    if len(scored) < FRAMES_THAT_DECIDE and not is_still:
        return Judged(Sense.VISUAL, _too_few(scored[0][1], len(scored), len(looked)))
    ends = [at for at, _ in scored[1:]] + [max(end, scored[-1][0])]
    segments = tuple(
        Segment(at, until, judged.probability)
        for (at, judged), until in zip(scored, ends, strict=True)
    )
    worst = _worst(segments)
    return Judged(
        Sense.VISUAL,
        replace(
            scored[0][1],
            probability=worst.probability,
            raw=max(judged.raw for _, judged in scored),
            segments=segments,
            reliability=weakest(judged.reliability for _, judged in scored),
            notes={
                "frames_judged": len(scored),
                "frames_seen": len(looked),
                GROUPS: sorted({group for _, judged in scored for group in _groups(judged)}),
                "worst_segment": [worst.start, worst.end],
            },
        ),
    )


def _too_few(score: Score, judged: int, seen: int) -> Abstention:
    reason = f"{judged} of {seen} frames could be judged; {FRAMES_THAT_DECIDE} are needed."
    return Abstention(score.detector, score.version, score.label, "too_few_frames", reason)


def _groups(score: Score) -> Sequence[str]:
    """Return the groups of content its detector took a frame to belong to."""
    groups: Sequence[str] = score.notes.get(GROUPS, ())
    return groups


def _worst(segments: Sequence[Segment]) -> Segment:
    """Return the FRAMES_THAT_DECIDE consecutive frames with the highest mean, as one segment."""
    length = min(FRAMES_THAT_DECIDE, len(segments))
    runs = [segments[at : at + length] for at in range(len(segments) - length + 1)]
    means = [sum(each.probability for each in run) / length for run in runs]
    highest = means.index(max(means))
    return Segment(runs[highest][0].start, runs[highest][-1].end, means[highest])


def facts_of(content: Content, heard: FoundText | None = None) -> dict[str, Any]:
    """Return what is worth keeping of the content: sizes, durations, text found in it."""
    found = [kept(each) for each in (text_in_pictures(content), heard) if each]
    facts: dict[str, Any] = {**_measures(content)}
    if not isinstance(content, Passage) and content.provenance:
        facts["content_credential"] = content.provenance.state.value
    if found:
        facts["found_text"] = found
    if isinstance(content, Picture) and content.words:
        facts["read_words"] = [_kept_word(word) for word in content.words[:MOST_WORDS_KEPT]]
    return facts


def _kept_word(word: ReadWord) -> list[Any]:
    """Return left, top, width and height in thousandths of the picture, confidence and text."""
    left, top, right, bottom = (
        round(1000 * share) for share in (word.left, word.top, word.right, word.bottom)
    )
    return [left, top, right - left, bottom - top, round(word.confidence, 2), word.text[:60]]


def _measures(content: Content) -> dict[str, float | int | bool]:
    match content:
        case Passage():
            return {"characters": len(content.text)}
        case Recording():
            return {
                "duration_seconds": round(content.duration_seconds, 2),
                "evenly_sampled": bool(content.stretches),
            }
        case Picture():
            return {"width": content.original_width, "height": content.original_height}
        case Footage():
            return {
                "duration_seconds": round(content.duration_seconds, 2),
                "width": content.width,
                "height": content.height,
                "frames_judged": len(content.frames),
                "scenes": content.scenes,
                "has_sound": content.sound is not None,
            }
