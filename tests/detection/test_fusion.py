from __future__ import annotations

import pytest

from detection.fusion import Levels, Rules, fuse
from detection.models import RiskLevel
from inference_worker.looks import Judged, Sense
from inference_worker.types import Abstention, Observation, Reliability, Score, Segment
from tests.inference_worker.toys import MEASURED

RULES = Rules(
    version=7,
    review_when_not_judged=True,
    levels={
        ("text", "text"): Levels(50, 80, 95),
        ("video", "visual"): Levels(50, 80, 95),
        ("video", "audio"): Levels(40, 60, 90),
    },
)


def score(probability: float, sense: Sense = Sense.TEXT, **more: object) -> Judged:
    more = {"reliability": MEASURED, **more}
    return Judged(sense, Score("toy", "1", "abuse", probability, 0.0, **more))  # type: ignore[arg-type]


def refused(sense: Sense) -> Judged:
    return Judged(sense, Abstention("toy", "1", "abuse", "too_short", "Too short to judge."))


@pytest.mark.parametrize(
    ("probability", "level"),
    [
        (0.0, RiskLevel.LOW),
        (0.49994, RiskLevel.LOW),  # 49.99 % once rounded
        (0.49996, RiskLevel.MEDIUM),  # a partner who sees 50.00 % must see what 50 % means
        (0.8, RiskLevel.HIGH),
        (0.9499, RiskLevel.HIGH),
        (0.95, RiskLevel.CRITICAL),
        (1.0, RiskLevel.CRITICAL),
    ],
)
def test_the_level_begins_at_its_threshold(probability: float, level: RiskLevel) -> None:
    assert fuse("text", [score(probability)], RULES).risk_level == level


def test_a_video_is_as_risky_as_the_worse_of_picture_and_sound() -> None:
    outcome = fuse("video", [score(0.55, Sense.VISUAL), score(0.65, Sense.AUDIO)], RULES)
    assert outcome.risk_level == RiskLevel.HIGH
    assert outcome.overall_confidence == 65.0
    assert (outcome.scores[Sense.VISUAL], outcome.scores[Sense.AUDIO]) == (55.0, 65.0)
    assert outcome.scores[Sense.TEXT] is None


def test_what_could_not_be_judged_is_null_with_a_finding_that_says_why() -> None:
    outcome = fuse("video", [score(0.1, Sense.VISUAL), refused(Sense.AUDIO)], RULES)
    assert outcome.scores[Sense.AUDIO] is None
    assert [(f["code"], f["severity"], f["message"]) for f in outcome.findings] == [
        ("too_short", "info", "Too short to judge.")
    ]


def test_content_nobody_could_judge_goes_where_policy_says() -> None:
    asking = fuse("text", [refused(Sense.TEXT)], RULES)
    passing = fuse("text", [refused(Sense.TEXT)], Rules(7, RULES.levels, False))
    assert (asking.overall_confidence, asking.risk_level) == (None, RiskLevel.MEDIUM)
    assert passing.risk_level == RiskLevel.LOW


def test_a_finding_points_at_the_worst_part() -> None:
    parts = (Segment(0, 10, 0.2), Segment(10, 20, 0.9))
    (finding,) = fuse("text", [score(0.9, segments=parts)], RULES).findings
    assert (finding["code"], finding["severity"], finding["segment"]) == ("abuse", "high", [10, 20])


def test_a_finding_gives_the_kinds_and_claims_none() -> None:
    kinds = {"hate": 0.7, "insult": 0.3}
    (finding,) = fuse("text", [score(0.83, notes={"kinds": kinds})], RULES).findings
    assert finding["message"] == "Abusive language: 83.00 % by toy."
    assert finding["details"]["kinds"] == kinds


def test_low_scores_leave_no_finding() -> None:
    assert fuse("text", [score(0.3)], RULES).findings == ()


def test_the_highest_of_several_detectors_counts() -> None:
    assert fuse("text", [score(0.3), score(0.7)], RULES).overall_confidence == 70.0


def test_the_reasons_name_the_policy_version() -> None:
    assert "policy version 7" in fuse("text", [score(0.7)], RULES).reasons[0]


def labelled(label: str, probability: float, sense: Sense, threshold: float) -> Judged:
    return Judged(sense, Score("toy", "1", label, probability, 0.0, threshold=threshold))


def test_machine_written_text_is_a_finding_and_no_abuse() -> None:
    outcome = fuse("text", [score(0.1), labelled("machine_text", 0.97, Sense.TEXT, 0.95)], RULES)
    assert (outcome.scores[Sense.TEXT], outcome.risk_level) == (10.0, RiskLevel.LOW)
    assert [(f["code"], f["severity"]) for f in outcome.findings] == [("machine_text", "low")]
    unsure = labelled("machine_text", 0.94, Sense.TEXT, 0.95)
    assert fuse("text", [score(0.1), unsure], RULES).findings == ()


def test_a_manipulated_picture_asks_for_a_person_without_a_score() -> None:
    outcome = fuse(
        "video",
        [score(0.1, Sense.VISUAL), labelled("manipulated_image", 0.9, Sense.VISUAL, 0.8)],
        RULES,
    )
    assert (outcome.scores[Sense.VISUAL], outcome.risk_level) == (10.0, RiskLevel.MEDIUM)
    assert outcome.reasons[-1].endswith("That alone is medium.")


@pytest.mark.parametrize(("severity", "level"), [("info", RiskLevel.LOW), ("high", RiskLevel.HIGH)])
def test_an_observation_means_at_least_its_severity(severity: str, level: RiskLevel) -> None:
    seen = Observation("c2pa", "1", "declared_ai", severity, "It says so.", {"signer": "X"})
    outcome = fuse("video", [score(0.1, Sense.VISUAL), Judged(Sense.VISUAL, seen)], RULES)
    assert outcome.risk_level == level
    (finding,) = outcome.findings
    assert (finding["message"], finding["details"]) == ("It says so.", {"signer": "X"})


def test_an_observation_counts_when_no_detector_could_judge() -> None:
    seen = Observation("c2pa", "1", "declared_ai", "high", "It says so.")
    outcome = fuse("video", [refused(Sense.VISUAL), Judged(Sense.VISUAL, seen)], RULES)
    assert (outcome.overall_confidence, outcome.risk_level) == (None, RiskLevel.HIGH)


SWAHILI = Reliability("language:sw", auc=0.56, low=0.41, high=0.71, n=61)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {"reliability": None},
            "The text score was not measured on content like this; policy version 7 asks for a "
            "person.",
        ),
        (
            {"reliability": None, "notes": {"groups": ["language:so", "condition:short"]}},
            "The text score was not measured on content like this (Somali, “short” content); "
            "policy version 7 asks for a person.",
        ),
        (
            {"reliability": SWAHILI},
            "The text score was measured no better than guessing on Swahili; policy version 7 asks "
            "for a person.",
        ),
    ],
)
def test_a_score_that_cannot_be_relied_on_asks_for_a_person_and_says_why(
    more: dict, reason: str
) -> None:
    outcome = fuse("text", [score(0.1, **more)], RULES)
    assert (outcome.is_unmeasured, outcome.reasons[-1]) == (True, reason)
    assert outcome.risk_level == RiskLevel.LOW  # not known to be good is not known to be bad


def test_a_policy_may_let_unmeasured_scores_pass() -> None:
    lenient = Rules(7, RULES.levels, True, review_when_unmeasured=False)
    outcome = fuse("text", [score(0.1, reliability=None)], lenient)
    assert outcome.reasons[-1].endswith("policy version 7 lets it pass.")


def test_each_score_says_how_reliable_it_is() -> None:
    outcome = fuse(
        "video",
        [score(0.55, Sense.VISUAL), score(0.9, Sense.AUDIO, reliability=SWAHILI)],
        RULES,
    )
    visual, audio = outcome.reliability[Sense.VISUAL], outcome.reliability[Sense.AUDIO]
    assert (visual["grade"], visual["auc"], visual["n"]) == ("strong", 0.9, 400)
    assert audio == {
        "grade": "unproven",
        "groups": ["language:sw"],
        "auc": 0.56,
        "low": 0.41,
        "high": 0.71,
        "n": 61,
    }
    assert Sense.TEXT not in outcome.reliability
    assert [f["details"]["reliability"]["grade"] for f in outcome.findings] == [
        "strong",
        "unproven",
    ]


def test_only_the_score_that_counts_is_asked_how_reliable_it_is() -> None:
    outcome = fuse("text", [score(0.7), score(0.3, reliability=None)], RULES)
    assert not outcome.is_unmeasured


def test_a_finding_of_its_own_asks_nobody_when_it_is_unmeasured() -> None:
    outcome = fuse("text", [score(0.1), labelled("machine_text", 0.97, Sense.TEXT, 0.95)], RULES)
    assert not outcome.is_unmeasured
