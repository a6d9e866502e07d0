"""From judgements to a risk level: pure, so that a policy can be replayed over stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from detection.models import RiskLevel
from inference_worker.looks import Judged, Sense
from inference_worker.types import Abstention, Score

LEVELS = tuple(RiskLevel)


class Finding(TypedDict):
    """What partners and reviewers read about one thing that was found, or could not be judged."""

    code: str
    kind: str
    severity: str
    """info for what could not be judged, else the risk level it alone would mean."""
    message: str
    detector: str
    score: float | None
    """Percent."""
    segment: list[float] | None
    """The part that scored highest: characters of a text, seconds of a recording or video."""


@dataclass(frozen=True, slots=True)
class Levels:
    """From which score, in percent, a risk level begins."""

    medium: float
    high: float
    critical: float

    def of(self, percent: float) -> RiskLevel:
        """Return the risk level of one score."""
        if percent >= self.critical:
            return RiskLevel.CRITICAL
        if percent >= self.high:
            return RiskLevel.HIGH
        return RiskLevel.MEDIUM if percent >= self.medium else RiskLevel.LOW


@dataclass(frozen=True, slots=True)
class Rules:
    """What fusion needs of a policy version."""

    version: int
    levels: Mapping[tuple[str, str], Levels]
    """Keyed by content type and score kind."""
    review_when_not_judged: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of the machines. Scores are percentages, None where nothing could be judged."""

    overall_confidence: float | None
    """The highest score: how sure the machines are that something is wrong."""
    risk_level: RiskLevel
    scores: Mapping[Sense, float | None]
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = field(default=())
    """Why this risk level, one sentence each."""


_CLAIMS = {
    "abuse": "Abusive language",
    "synthetic_speech": "Synthetic or converted speech",
    "synthetic_image": "AI-generated imagery",
}


def fuse(content_type: str, judged: Sequence[Judged], rules: Rules) -> Outcome:
    """Return what the policy makes of the judgements on one piece of content."""
    scores = {sense: _highest(judged, sense) for sense in Sense}
    known = {kind: percent for kind, percent in scores.items() if percent is not None}
    if not known:
        return _not_judged(judged, rules)
    levels = {kind: rules.levels[content_type, kind].of(percent) for kind, percent in known.items()}
    risk_level = max(levels.values(), key=LEVELS.index)
    return Outcome(
        overall_confidence=max(known.values()),
        risk_level=risk_level,
        scores=scores,
        findings=tuple(_findings(judged, content_type, rules)),
        reasons=tuple(
            f"The {kind} score of {known[kind]:.2f} % is {level} by policy version {rules.version}."
            for kind, level in levels.items()
        ),
    )


def percent(probability: float) -> float:
    """Return a probability as the percentage with two decimals that is stored and shown."""
    return round(100 * probability, 2)


def _highest(judged: Sequence[Judged], sense: Sense) -> float | None:
    found = [
        percent(each.judgement.probability)
        for each in judged
        if each.sense == sense and isinstance(each.judgement, Score)
    ]
    return max(found, default=None)


def _not_judged(judged: Sequence[Judged], rules: Rules) -> Outcome:
    asks = rules.review_when_not_judged
    return Outcome(
        overall_confidence=None,
        risk_level=RiskLevel.MEDIUM if asks else RiskLevel.LOW,
        scores=dict.fromkeys(Sense),
        findings=tuple(
            _refusal(each.sense, each.judgement)
            for each in judged
            if isinstance(each.judgement, Abstention)
        ),
        reasons=(
            f"No detector could judge this; policy version {rules.version} "
            f"{'asks for a person' if asks else 'lets it pass'}.",
        ),
    )


def _findings(judged: Sequence[Judged], content_type: str, rules: Rules) -> list[Finding]:
    found: list[Finding] = []
    for each in judged:
        if isinstance(each.judgement, Abstention):
            found.append(_refusal(each.sense, each.judgement))
            continue
        level = rules.levels[content_type, each.sense].of(percent(each.judgement.probability))
        if level != RiskLevel.LOW:
            found.append(_claim(each.sense, each.judgement, level))
    return found


def _claim(sense: Sense, score: Score, level: RiskLevel) -> Finding:
    worst = max(score.segments, key=lambda segment: segment.probability, default=None)
    shown = percent(score.probability)
    return Finding(
        code=score.label,
        kind=sense.value,
        severity=level.value,
        message=f"{_CLAIMS.get(score.label, score.label)}: {shown:.2f} % by {score.detector}.",
        detector=f"{score.detector}@{score.version}",
        score=shown,
        segment=[round(worst.start, 3), round(worst.end, 3)] if worst else None,
    )


def _refusal(sense: Sense, refused: Abstention) -> Finding:
    return Finding(
        code=refused.code,
        kind=sense.value,
        severity="info",
        message=refused.reason,
        detector=f"{refused.detector}@{refused.version}",
        score=None,
        segment=None,
    )
