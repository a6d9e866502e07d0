"""What a reviewer reads beside a score about how far it may be relied on."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from inference_worker.reliability import FAIR_FROM, GUESSING, STRONG_FROM, Grade
from review.reliance import arranged, place
from tests import factories

pytestmark = pytest.mark.django_db


def stated(grade: str, group: str = "language:sw", auc: float = 0.56, half: float = 0.15) -> dict:
    return {
        "grade": grade,
        "groups": [group],
        "auc": auc,
        "low": auc - half,
        "high": min(auc + half, 1),
        "n": 61,
    }


UNMEASURED = {
    "grade": "unmeasured",
    "groups": [],
    "auc": None,
    "low": None,
    "high": None,
    "n": None,
}


def read(reliability: dict) -> str:
    """Return the words of an item's page, its white space evened."""
    item = factories.ItemFactory(result__scores=[], result__reliability={"text": reliability})
    factories.DetectorScoreFactory(result=item.result, reliability=reliability)
    client = Client()
    client.force_login(factories.reviewer())
    page = client.get(reverse("review:item", args=[item.pk])).text
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("&nbsp;", " ").split())


@pytest.mark.parametrize(
    ("reliability", "words"),
    [
        (
            stated("unproven"),
            "Unproven Measured on Swahili: right order in 56 of 100 pairs, where 50 is guessing "
            "(61 items; 95 % interval 41 to 71). That may be chance: judge without the score.",
        ),
        (
            stated("strong", "language:en-KE", 0.9, 0.02),
            "Strong Measured on English (Kenya): right order in 90 of 100 pairs, where 50 is "
            "guessing (61 items; 95 % interval 88 to 92).",
        ),
        (
            UNMEASURED,
            "Not measured How good the detector is on content like this is not known. "
            "Judge without the score.",
        ),
        (
            UNMEASURED | {"groups": ["language:so"]},
            "Not measured How good the detector is on content like this (Somali) is not known.",
        ),
    ],
)
def test_each_score_says_in_words_how_well_it_was_measured(reliability, words) -> None:
    assert words in read(reliability)


@pytest.mark.parametrize(
    ("reliability", "words"),
    [
        (stated("unproven"), "Measured no better than guessing on Swahili"),
        (UNMEASURED, "Not measured on content like this"),
        (
            UNMEASURED | {"groups": ["condition:noisy"]},
            "Not measured on content like this (“noisy” content)",
        ),
    ],
)
def test_a_score_that_cannot_be_relied_on_says_so_at_the_top(reliability, words) -> None:
    shown = read(reliability)
    assert words in shown.partition("Detectors")[0]
    relied_on = read(stated("fair", auc=0.8, half=0.02))
    assert "guessing on" not in relied_on.partition("Detectors")[0]


def test_a_score_from_before_reliability_was_kept_claims_nothing() -> None:
    shown = read({})
    assert "measured" not in shown.lower()
    assert arranged({}) is None


def test_the_scale_on_the_page_parts_where_the_grades_do() -> None:
    assert [place(auc) for auc in (GUESSING, FAIR_FROM, STRONG_FROM)] == [16.67, 50.0, 75.0]


@pytest.mark.parametrize(
    ("grade", "bars"),
    [(Grade.UNPROVEN, 0), (Grade.WEAK, 1), (Grade.FAIR, 2), (Grade.STRONG, 3)],
)
def test_the_sign_fills_a_bar_for_each_grade(grade: Grade, bars: int) -> None:
    found = arranged(stated(grade))
    assert found is not None
    assert found.strength == bars


def test_what_ranks_worse_than_the_scale_is_drawn_at_its_end() -> None:
    found = arranged(stated("unproven", auc=0.35, half=0.1))
    assert found is not None
    assert (found.at, found.start, found.width) == (0.0, 0.0, 8.33)
