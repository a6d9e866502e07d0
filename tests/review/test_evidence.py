"""Scores arranged for the eye."""

import pytest

from review.evidence import Part, facts, gather, pieces
from tests import factories


def part(start: float, end: float, percent: float, level: str = "high") -> Part:
    return Part(start, end, percent, level)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], [("abcdefghij", "")]),
        ([part(2, 4, 90)], [("ab", ""), ("cd", "high"), ("efghij", "")]),
        ([part(0, 10, 90)], [("abcdefghij", "high")]),
        # where two overlap the higher score wins
        (
            [part(0, 6, 85), part(4, 8, 99, "critical")],
            [("abcd", "high"), ("ef", "critical"), ("gh", "critical"), ("ij", "")],
        ),
        # what is low is not coloured
        ([part(2, 4, 10, "low")], [("abcdefghij", "")]),
        # beyond the shown text
        ([part(8, 50, 90)], [("abcdefgh", ""), ("ij", "high")]),
        ([part(40, 50, 90)], [("abcdefghij", "")]),
    ],
)
def test_text_is_cut_where_colours_change(
    parts: list[Part], expected: list[tuple[str, str]]
) -> None:
    assert [(piece.text, piece.level) for piece in pieces("abcdefghij", parts)] == expected


def test_no_text_has_no_pieces() -> None:
    assert pieces("", []) == []


@pytest.mark.django_db
def test_scores_stand_beside_the_thresholds_that_judged_them() -> None:
    result = factories.ResultFactory(scores=[])
    factories.DetectorScoreFactory(
        result=result,
        probability=0.97,
        segments=[
            {"start": 6, "end": 9, "probability": 0.2},
            {"start": 0, "end": 5, "probability": 0.96},
        ],
    )

    found = gather(result)

    [(kind, bar)] = found.bars
    assert (kind, bar.percent, bar.level, bar.marks) == ("text", 91.5, "high", (50, 80, 95))
    assert found.opinions[0].bar.level == "critical"
    assert [(p.start, p.level) for p in found.parts(kind)] == [(0, "critical"), (6, "low")]
    assert [p.start for p in found.suspicious(kind)] == [0]


def test_metadata_becomes_plain_facts() -> None:
    found = facts({"has_sound": True, "models": ["a@1", "b@2"], "reasons": ["x"], "nothing": ""})

    assert found == [("Has sound", "yes"), ("Models", "a@1, b@2")]
