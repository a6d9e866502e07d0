"""Scores arranged for the eye."""

from decimal import Decimal

import pytest

from detection.fusion import percent
from detection.models import ScoreKind
from review.evidence import Explained, Part, Word, facts, gather, pieces
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


def word(start: int, end: int, weight: float) -> Word:
    return {"start": start, "end": end, "weight": weight}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # three strengths, by the share of the largest weight
        (
            [word(2, 3, 4), word(4, 5, 3), word(5, 6, 2), word(6, 7, 1)],
            [("c", 3), ("e", 3), ("f", 2), ("g", 1)],
        ),
        # below a quarter of the largest
        ([word(2, 3, 4), word(4, 5, 0.99)], [("c", 3)]),
        # what speaks against the label is marked by its size as well
        ([word(2, 3, 2.5), word(4, 5, -9)], [("c", 1), ("e", 3)]),
        # in whatever order they come
        ([word(6, 8, 1), word(2, 4, 1)], [("cd", 3), ("gh", 3)]),
    ],
)
def test_words_that_raise_the_score_are_marked_by_their_share(
    words: list[Word], expected: list[tuple[str, int]]
) -> None:
    cut = pieces("abcdefghij", [], Explained(2, 8, tuple(words)))

    assert [(piece.text, piece.strength) for piece in cut if piece.strength] == expected
    assert "".join(piece.text for piece in cut) == "abcdefghij"


def test_outside_the_explained_stretch_segments_keep_their_colours() -> None:
    parts = [part(0, 4, 85), part(3, 8, 99, "critical")]

    cut = pieces("abcdefghij", parts, Explained(3, 8, (word(4, 6, 1.5),)))

    assert [(piece.text, piece.level, piece.strength) for piece in cut] == [
        ("abc", "high", 0),
        ("d", "", 0),
        ("ef", "", 3),
        ("gh", "", 0),
        ("ij", "", 0),
    ]


@pytest.mark.parametrize(("start", "end"), [(0, 20), (5, 30), (15, 30)])
def test_an_explanation_beyond_the_shown_text_is_cut(start: int, end: int) -> None:
    words = (word(start, start + 2, 1), word(end - 3, end, 1))

    cut = pieces("abcdefghij", [part(start, end, 90)], Explained(start, end, words))

    assert "".join(piece.text for piece in cut) == "abcdefghij"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "is_explained"),
    [
        ([word(6, 9, 1.0)], True),
        # no word alone raises the score: the segments tell more
        ([word(6, 9, -1.0)], False),
        # no more than rounding does
        ([word(6, 9, 0.02)], False),
        ([], False),
    ],
)
def test_the_segment_that_scored_highest_is_explained(
    words: list[Word], is_explained: bool
) -> None:
    result = factories.ResultFactory(scores=[])
    segments = [
        {"start": 0, "end": 5, "probability": 0.2},
        {"start": 5, "end": 20, "probability": 0.9},
    ]
    facts = {"start": 5, "end": 20, "words": words}
    factories.DetectorScoreFactory(
        result=result, segments=segments, evidence={"state": "ready", "facts": facts}
    )

    found = gather(result)

    assert found.explained() == (Explained(5, 20, tuple(words)) if is_explained else None)


@pytest.mark.django_db
def test_a_probability_is_rounded_as_the_stored_score_is() -> None:
    result = factories.ResultFactory(scores=[])
    factories.DetectorScoreFactory(result=result, probability=0.790_45)

    assert gather(result).opinions[0].bar.percent == percent(0.790_45)


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


@pytest.mark.django_db
@pytest.mark.parametrize(("found", "shown"), [(None, False), (Decimal("91.50"), True)])
def test_media_show_a_text_score_only_where_text_was_found(found, shown) -> None:
    result = factories.ResultFactory(
        job__submission__image=True, visual_score=Decimal("12.00"), text_score=found, scores=[]
    )
    assert (ScoreKind.TEXT in [kind for kind, _ in gather(result).bars]) == shown
