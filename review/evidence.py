"""What the machines said, arranged for the eye: bars with marks, coloured text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypedDict

from detection.fusion import Levels
from detection.models import AnalysisResult, DetectorScore, RiskLevel, ScoreKind
from detection.policies import rules_of


class SegmentRow(TypedDict):
    """A stored segment: characters of a text, seconds of a recording or video; probability 0..1."""

    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A score in percent, or None; its level; where medium, high and critical begin."""

    percent: float | None
    level: str
    marks: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A segment in percent, with its level. `start` and `end` as in SegmentRow."""

    start: float
    end: float
    percent: float
    level: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """One detector's score or abstention."""

    score: DetectorScore
    bar: Bar
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is coloured as one; no level means that nothing was found in it."""

    text: str
    level: str
    percent: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it. `bars` has every score the content type can have, judged or not."""

    bars: tuple[tuple[ScoreKind, Bar], ...]
    opinions: tuple[Opinion, ...]

    def suspicious(self, kind: ScoreKind) -> list[Part]:
        """Return the parts of one sense that reach a level above low, in time order."""
        parts = [part for part in self.parts(kind) if part.level != RiskLevel.LOW]
        return sorted(parts, key=lambda part: part.start)

    def parts(self, kind: ScoreKind) -> list[Part]:
        """Return all parts of one sense, in time order."""
        parts = [part for each in self.opinions if each.score.kind == kind for part in each.parts]
        return sorted(parts, key=lambda part: part.start)


_FIELD = {
    ScoreKind.TEXT: "text_score",
    ScoreKind.AUDIO: "audio_score",
    ScoreKind.VISUAL: "visual_score",
}


def gather(result: AnalysisResult) -> Evidence:
    """Arrange a result's scores, beside the thresholds of the policy version that judged them."""
    levels = rules_of(result.policy).levels
    opinions = tuple(
        _opinion(score, levels.get((result.content_type, score.kind)))
        for score in result.scores.all()
    )
    bars = tuple(
        (kind, _bar(getattr(result, _FIELD[kind]), levels.get((result.content_type, kind))))
        for kind in ScoreKind
        if (result.content_type, kind) in levels
    )
    return Evidence(bars, opinions)


def _opinion(score: DetectorScore, levels: Levels | None) -> Opinion:
    percent = None if score.probability is None else 100 * score.probability
    parts = tuple(_part(segment, levels) for segment in score.segments)
    return Opinion(score, _bar(percent, levels), parts)


def _bar(percent: Any, levels: Levels | None) -> Bar:
    marks = (levels.medium, levels.high, levels.critical) if levels else ()
    if percent is None:
        return Bar(None, "", marks)
    return Bar(float(percent), _level(float(percent), levels), marks)


def _part(segment: SegmentRow, levels: Levels | None) -> Part:
    percent = round(100 * segment["probability"], 2)
    return Part(segment["start"], segment["end"], percent, _level(percent, levels))


def _level(percent: float, levels: Levels | None) -> str:
    return levels.of(percent).value if levels else RiskLevel.LOW.value


def pieces(text: str, parts: Sequence[Part]) -> list[Piece]:
    """Cut a text where colours change. Where parts overlap, the highest score wins."""
    coloured = [part for part in parts if part.level != RiskLevel.LOW]
    edges = {0, len(text)}
    for part in coloured:
        edges |= {min(max(0, int(edge)), len(text)) for edge in (part.start, part.end)}
    return [
        _piece(text[start:end], [p for p in coloured if p.start <= start and end <= p.end])
        for start, end in pairwise(sorted(edges))
    ]


def _piece(text: str, over: Sequence[Part]) -> Piece:
    if not over:
        return Piece(text, "", None)
    highest = max(over, key=lambda part: part.percent)
    return Piece(text, highest.level, highest.percent)


def facts(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a metadata object as label and value; its reasons are shown elsewhere."""
    return [
        (name.replace("_", " ").capitalize(), _shown(value))
        for name, value in metadata.items()
        if name != "reasons" and value not in (None, "", [], {})
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(each)}" for name, each in value.items())
    return str(value)
