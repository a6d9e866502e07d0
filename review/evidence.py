"""What the machines said, arranged for the eye: bars with marks, coloured text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypedDict

from detection import fusion
from detection.evidence import State, state_of
from detection.fusion import Levels
from detection.models import AnalysisResult, ContentType, DetectorScore, RiskLevel, ScoreKind
from detection.policies import rules_of
from review.reliance import Reliance, arranged


class SegmentRow(TypedDict):
    """A stored segment: characters of a text, seconds of a recording or video; probability 0..1."""

    start: float
    end: float
    probability: float


class Word(TypedDict):
    """A stored word: characters of a text; its share of the log odds of its window."""

    start: int
    end: int
    weight: float


STRENGTHS = (0.25, 0.5, 0.75)
"""A word is marked from a quarter of the largest weight on, more strongly from a half on, ..."""

SHOWN_ELSEWHERE = {"reasons", "found_text", "read_words", "content_credential"}

LEAST_WEIGHT = 0.05
"""Where the largest weight is below, nothing is marked: it moves no probability by a percent."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A score in percent, or None; its level; where medium, high and critical begin."""

    percent: float | None
    level: str
    marks: tuple[float, ...]
    reliance: Reliance | None = None
    """How reliable the score was measured to be; None where there is no score."""


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
class Explained:
    """The stretch of a text that scored highest, characters start to end, and its words."""

    start: int
    end: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is coloured as one.

    Coloured by its segment's level, or marked as a word by its strength of 1 to 3, whether it
    raises the score (weight above 0) or lowers it; neither means that nothing was found in it.
    """

    text: str
    level: str = ""
    percent: float | None = None
    strength: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it. `bars` has every score that is due, judged or not."""

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

    def explained(self) -> Explained | None:
        """Return the stretch whose words were weighed, of the highest score if there are more.

        None also where no single word raises the score: then its segments tell more.
        """
        weighed = [each.score for each in self.opinions if _has_a_raising_word(each.score)]
        if not weighed:
            return None
        score = max(weighed, key=lambda score: score.probability or 0.0)
        facts = score.evidence["facts"]
        return Explained(facts["start"], facts["end"], tuple(facts["words"]))


def words_of(score: DetectorScore) -> tuple[Word, ...]:
    """Return the weighed words of a score; none where it has not been explained."""
    if state_of(score) is not State.READY:
        return ()
    return tuple(score.evidence["facts"].get("words", ()))


def _has_a_raising_word(score: DetectorScore) -> bool:
    return any(word["weight"] >= LEAST_WEIGHT for word in words_of(score))


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
        (
            kind,
            _bar(
                getattr(result, _FIELD[kind]),
                levels.get((result.content_type, kind)),
                result.reliability.get(kind, {}),
            ),
        )
        for kind in ScoreKind
        if (result.content_type, kind) in levels and _is_due(result, kind)
    )
    return Evidence(bars, opinions)


def _is_due(result: AnalysisResult, kind: ScoreKind) -> bool:
    """Say whether a score is worth showing: most media hold no text, so that its lack is normal."""
    is_media = result.content_type != ContentType.TEXT
    return not (is_media and kind == ScoreKind.TEXT and result.text_score is None)


def _opinion(score: DetectorScore, levels: Levels | None) -> Opinion:
    percent = None if score.probability is None else fusion.percent(score.probability)
    parts = tuple(_part(segment, levels) for segment in score.segments)
    return Opinion(score, _bar(percent, levels, score.reliability), parts)


def _bar(percent: Any, levels: Levels | None, reliability: Mapping[str, Any]) -> Bar:
    marks = (levels.medium, levels.high, levels.critical) if levels else ()
    if percent is None:
        return Bar(None, "", marks)
    level = _level(float(percent), levels)
    return Bar(float(percent), level, marks, arranged(reliability))


def _part(segment: SegmentRow, levels: Levels | None) -> Part:
    percent = fusion.percent(segment["probability"])
    return Part(segment["start"], segment["end"], percent, _level(percent, levels))


def _level(percent: float, levels: Levels | None) -> str:
    return levels.of(percent).value if levels else RiskLevel.LOW.value


def pieces(text: str, parts: Sequence[Part], explained: Explained | None = None) -> list[Piece]:
    """Cut a text where colours change. Where parts overlap, the highest score wins.

    In the explained stretch the words that raise or lower the score are marked instead.
    """
    if explained is None:
        return _coloured(text, 0, len(text), parts)
    start, end = min(explained.start, len(text)), min(explained.end, len(text))
    return [
        *_coloured(text, 0, start, parts),
        *_marked(text, start, end, explained.words),
        *_coloured(text, end, len(text), parts),
    ]


def _coloured(text: str, start: int, end: int, parts: Sequence[Part]) -> list[Piece]:
    coloured = [part for part in parts if part.level != RiskLevel.LOW]
    edges = {start, end}
    for part in coloured:
        edges |= {min(max(start, int(edge)), end) for edge in (part.start, part.end)}
    return [
        _piece(text[a:b], [part for part in coloured if part.start <= a and b <= part.end])
        for a, b in pairwise(sorted(edges))
    ]


def _piece(text: str, over: Sequence[Part]) -> Piece:
    if not over:
        return Piece(text)
    highest = max(over, key=lambda part: part.percent)
    return Piece(text, highest.level, highest.percent)


def _marked(text: str, start: int, end: int, words: Sequence[Word]) -> list[Piece]:
    largest = max(abs(word["weight"]) for word in words)
    found, reached = [], start
    for word in sorted(words, key=lambda word: word["start"]):
        if strength := strength_of(word["weight"], largest):
            begins, ends = min(word["start"], end), min(word["end"], end)
            found.append(Piece(text[reached:begins]))
            found.append(Piece(text[begins:ends], strength=strength, weight=word["weight"]))
            reached = ends
    return [piece for piece in (*found, Piece(text[reached:end])) if piece.text]


def strength_of(weight: float, largest: float) -> int:
    """Return how strongly to mark a word, 0 (not at all) to 3."""
    return sum(abs(weight) >= share * largest for share in STRENGTHS)


def facts(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a metadata object as label and value; reasons and found text are shown elsewhere."""
    return [
        (name.replace("_", " ").capitalize(), _shown(value))
        for name, value in metadata.items()
        if name not in SHOWN_ELSEWHERE and value not in (None, "", [], {})
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(each)}" for name, each in value.items())
    return str(value)
