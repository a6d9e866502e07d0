"""Text that machines found in media, as the page shows it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from detection.models import DetectorScore, ScoreKind
from inference_worker.found_text import judged_part
from inference_worker.types import FoundText, Line, Origin, Segment
from kilinda.partners.models import User
from review import evidence, found_text
from review.models import ReviewItem
from tests import factories

pytestmark = pytest.mark.django_db


def item_with(lines: list[dict[str, Any]], origin: str = "picture", **kind: bool) -> ReviewItem:
    """An item whose picture, or recording, has these lines, and a text score on some of them."""
    item = factories.ItemFactory(**(kind or {"image": True}))
    kept = {"origin": origin, "by": "toy@1", "language": None, "lines": lines, "shortened": False}
    item.result.metadata = {"found_text": [kept]}
    item.result.save()
    return item


def scored(item: ReviewItem, *segments: dict[str, float]) -> None:
    DetectorScore.objects.create(
        result=item.result,
        kind=ScoreKind.TEXT,
        detector="abuse-text",
        version="1",
        label="abuse",
        probability=max(each["probability"] for each in segments),
        segments=list(segments),
    )


def line(text: str, start: float = 0.0, end: float = 0.0) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end}


def coloured(item: ReviewItem) -> list[list[tuple[str, str]]]:
    (view,) = found_text.found_texts(item.result, evidence.gather(item.result))
    return [[(piece.text, piece.level) for piece in each.pieces] for each in view.shown]


def test_the_message_that_scored_is_coloured_and_no_other() -> None:
    item = item_with([line("good day"), line("you vermin"), line("bye")])
    scored(item, {"start": 9, "end": 19, "probability": 0.97})
    assert coloured(item) == [[("good day", "")], [("you vermin", "critical")], [("bye", "")]]


def test_what_is_said_is_coloured_by_its_seconds() -> None:
    item = item_with([line("good day", 0, 2), line("you vermin", 2, 4)], "speech", audio=True)
    scored(item, {"start": 2.0, "end": 4.0, "probability": 0.85})
    assert coloured(item) == [[("good day", "")], [("you vermin", "high")]]


def page_of(item: ReviewItem, reader: User) -> str:
    client = Client()
    client.force_login(reader)
    return client.get(reverse("review:item", args=[item.pk])).text


def test_long_texts_are_folded(amina: User) -> None:
    page = page_of(item_with([line(f"message {number}") for number in range(20)]), amina)
    assert "8 more lines" in page
    assert page.index("message 11<") < page.index("<details>") < page.index("message 12<")


def test_what_was_read_is_shown_as_text_in_its_own_direction(amina: User) -> None:
    page = page_of(item_with([line("<script>alert(1)</script> مرحبا")]), amina)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; مرحبا" in page
    assert '<span class="message" dir="auto">' in page


def test_a_score_of_one_message_is_explained_by_that_message() -> None:
    found = FoundText(Origin.PICTURE, "toy@1", (Line("good day"), Line("you vermin")))
    begins, passage = judged_part(found, [Segment(9, 19, 0.9)])
    assert (begins, passage.text) == (9, "you vermin")
    assert judged_part(found, [Segment(0, 19, 0.9)])[1].text == "good day\nyou vermin"
