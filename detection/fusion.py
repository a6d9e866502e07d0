"""From judgements to a risk level: pure, so that a policy can be replayed over stored scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from detection.models import RiskLevel
from detection.reliability import Reliability, shortfall, stated
from inference_worker.looks import Judged, Sense
from inference_worker.types import KINDS, Abstention, Observation, Score

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
    details: dict[str, Any]
    """What else is known, such as who signed a content credential."""


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
    review_when_unmeasured: bool = True
    """Whether a person looks at content with a score that was not measured for its like."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of the machines. Scores are percentages, None where nothing could be judged."""

    overall_confidence: float | None
    """The highest score: how sure the machines are that something is wrong."""
    risk_level: RiskLevel
    scores: Mapping[Sense, float | None]
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = field(default=())
    """Why this risk level and why a person must look, one sentence each."""
    reliability: Mapping[Sense, Reliability] = field(default_factory=dict)
    """Of the score of each sense that has one."""
    is_unmeasured: bool = False
    """Whether a score was not measured for content like this, or no better than guessing."""


_CLAIMS = {
    "abuse": "Abusive language",
    "synthetic_speech": "Synthetic or converted speech",
    "synthetic_image": "AI-generated imagery",
    "machine_text": "Machine-written text",
    "manipulated_image": "Manipulated image",
}

FINDINGS_ONLY = {"machine_text": RiskLevel.LOW, "manipulated_image": RiskLevel.MEDIUM}
"""Labels that are a finding of their own and feed no score, with the severity of the finding: who
wrote a text says nothing about its harm, and copied pixels need a person to judge."""


def fuse(content_type: str, judged: Sequence[Judged], rules: Rules) -> Outcome:
    """Return what the policy makes of the judgements on one piece of content."""
    deciding = {sense: score for sense in Sense if (score := _highest(judged, sense))}
    known = {sense: percent(score.probability) for sense, score in deciding.items()}
    shortfalls = {s: why for s, score in deciding.items() if (why := shortfall(score))}
    levels = {kind: rules.levels[content_type, kind].of(percent) for kind, percent in known.items()}
    findings = tuple(_findings(judged, content_type, rules))
    lowest = max(levels.values(), key=LEVELS.index) if levels else _unjudged(rules)
    raising = [each for each in findings if _rank(each) > LEVELS.index(lowest)]
    return Outcome(
        overall_confidence=max(known.values(), default=None),
        risk_level=LEVELS[max(map(_rank, raising), default=LEVELS.index(lowest))],
        scores={sense: known.get(sense) for sense in Sense},
        findings=findings,
        reasons=(
            *(_reason(kind, known[kind], level, rules) for kind, level in levels.items()),
            *(() if levels else (_unjudged_reason(rules),)),
            *(f"{each['message']} That alone is {each['severity']}." for each in raising),
            *(_unmeasured_reason(sense, why, rules) for sense, why in shortfalls.items()),
        ),
        reliability={sense: stated(score) for sense, score in deciding.items()},
        is_unmeasured=bool(shortfalls),
    )


def _reason(kind: Sense, percent: float, level: RiskLevel, rules: Rules) -> str:
    return f"The {kind} score of {percent:.2f} % is {level} by policy version {rules.version}."


def _unjudged(rules: Rules) -> RiskLevel:
    return RiskLevel.MEDIUM if rules.review_when_not_judged else RiskLevel.LOW


def _unjudged_reason(rules: Rules) -> str:
    asks = "asks for a person" if rules.review_when_not_judged else "lets it pass"
    return f"No detector could judge this; policy version {rules.version} {asks}."


def _unmeasured_reason(sense: Sense, why: str, rules: Rules) -> str:
    asks = "asks for a person" if rules.review_when_unmeasured else "lets it pass"
    return f"The {sense} score {why}; policy version {rules.version} {asks}."


def _rank(finding: Finding) -> int:
    """Return the place of a finding's severity among the risk levels; -1 for info."""
    return LEVELS.index(RiskLevel(finding["severity"])) if finding["severity"] != "info" else -1


def percent(probability: float) -> float:
    """Return a probability as the percentage with two decimals that is stored and shown."""
    return round(100 * probability, 2)


def _highest(judged: Sequence[Judged], sense: Sense) -> Score | None:
    found = [
        each.judgement
        for each in judged
        if each.sense == sense
        and isinstance(each.judgement, Score)
        and each.judgement.label not in FINDINGS_ONLY
    ]
    return max(found, key=lambda score: score.probability, default=None)


def _findings(judged: Sequence[Judged], content_type: str, rules: Rules) -> Iterator[Finding]:
    for each in judged:
        match each.judgement:
            case Abstention():
                yield _refusal(each.sense, each.judgement)
            case Observation():
                yield _observed(each.sense, each.judgement)
            case Score():
                level = _severity(each.sense, each.judgement, content_type, rules)
                if level is not None:
                    yield _claim(each.sense, each.judgement, level)


def _severity(sense: Sense, score: Score, content_type: str, rules: Rules) -> RiskLevel | None:
    """Return what the score alone would mean; None where it is not worth a finding."""
    if score.label in FINDINGS_ONLY:
        return FINDINGS_ONLY[score.label] if score.probability >= score.threshold else None
    level = rules.levels[content_type, sense].of(percent(score.probability))
    return level if level != RiskLevel.LOW else None


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
        details={
            "reliability": stated(score),
            **{note: score.notes[note] for note in (KINDS,) if note in score.notes},
        },
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
        details={},
    )


def _observed(sense: Sense, seen: Observation) -> Finding:
    return Finding(
        code=seen.code,
        kind=sense.value,
        severity=seen.severity,
        message=seen.message,
        detector=f"{seen.detector}@{seen.version}",
        score=None,
        segment=None,
        details=seen.details,
    )
