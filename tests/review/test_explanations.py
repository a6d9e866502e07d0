"""What the page shows of the evidence: waiting, found, failed; and who may read it."""

from __future__ import annotations

import io
import time

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from detection import doorbell
from detection.models import DetectorScore
from inference_worker.drawing.values import Plot
from kilinda.partners.models import User
from review.explanations import MOST_ATTEMPTS
from review.models import ReviewItem
from tests import factories
from tests.review.explained import draw, word_evidence


@pytest.fixture
def client(amina: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(amina)
    return client


@pytest.fixture(autouse=True)
def rings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What workers are asked to do, kept from the broker."""
    rung: list[tuple[object, ...]] = []
    monkeypatch.setattr(doorbell.Ringer, "ring", lambda _self, *task: rung.append(task))
    return rung


def item_of(text: str, **fields: object) -> tuple[ReviewItem, DetectorScore]:
    """Return an item of a text that is one segment, and its score."""
    result = factories.ResultFactory(job__submission__text=text, scores=[])
    segments = [{"start": 0, "end": len(text), "probability": 0.97}]
    score = factories.DetectorScoreFactory(result=result, segments=segments, **fields)
    return factories.ItemFactory(result=result), score


def of_kind(kind: str) -> tuple[ReviewItem, DetectorScore]:
    item = factories.ItemFactory(**{kind: True})
    return item, item.result.scores.get()


def page_of(item: ReviewItem) -> str:
    return reverse("review:item", args=[item.pk])


def at(name: str, item: ReviewItem, score: DetectorScore, *more: str) -> str:
    return reverse(f"review:evidence{name}", args=[item.pk, score.pk, *more])


IDIOT = word_evidence([{"start": 4, "end": 9, "weight": 1.234}], end=10)


# --- Asking and waiting --------------------------------------------------------------------------


def test_who_opens_a_text_has_its_words_weighed_and_sees_them_when_they_are(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    item, score = item_of("You idiot.")

    page = client.get(page_of(item)).text
    assert rings == [("detection.tasks.explain_screen", score.pk)]
    assert 'class="level-critical"' in page
    assert f"{at('', item, score)}?attempt=1" in page
    assert "?attempt=4" in client.get(f"{at('', item, score)}?attempt=3").text

    DetectorScore.objects.update(evidence=IDIOT)
    update = client.get(f"{at('', item, score)}?attempt=4").text
    assert 'title="raises the score (+1.23)">idiot</mark>' in update
    assert "raises the score most" in update
    assert "Log odds of the worst passage +1.48" in update
    assert "attempt=" not in update
    assert rings == [("detection.tasks.explain_screen", score.pk)]


@pytest.mark.parametrize("kind", ["audio", "image", "video"])
def test_who_opens_media_has_them_explained_by_the_media_workers(
    client: Client, rings: list[tuple[object, ...]], kind: str
) -> None:
    item, score = of_kind(kind)
    page = client.get(page_of(item)).text
    assert rings == [("detection.tasks.explain_media", score.pk)]
    assert 'class="skeleton"' in page


def test_a_page_gives_up_after_some_minutes_and_offers_to_try_again(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    item, score = item_of("You idiot.")

    last = client.get(f"{at('', item, score)}?attempt={MOST_ATTEMPTS}").text
    assert "attempt=" not in last
    assert "hx-swap-oob" not in last
    assert "No worker has found out yet" in last
    assert at("-again", item, score) in last
    for wrong in ("", "?attempt=0", f"?attempt={MOST_ATTEMPTS + 1}", "?attempt=soon"):
        assert client.get(at("", item, score) + wrong).status_code == 400


def test_what_is_being_computed_is_not_asked_for_again(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    item, _ = item_of("You idiot.", evidence={"state": "computing", "since": time.time()})
    assert "attempt=1" in client.get(page_of(item)).text
    assert rings == []


# --- Found ---------------------------------------------------------------------------------------


def test_a_text_that_was_explained_shows_its_words_at_once(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    item, _ = item_of("أنت idiot.", evidence=IDIOT)

    page = client.get(page_of(item)).text

    assert ">idiot</mark>." in page
    assert 'dir="auto"' in page
    assert "attempt=" not in page
    assert rings == []


def test_words_that_lower_a_score_look_different(client: Client) -> None:
    words = [{"start": 0, "end": 3, "weight": -1.0}, {"start": 4, "end": 9, "weight": 1.5}]
    item, _ = item_of("You idiot.", evidence=word_evidence(words, end=10))
    page = client.get(page_of(item)).text
    assert 'class="word against strength-2" title="lowers the score (−1.00)">You<' in page  # noqa: RUF001
    assert 'class="lowers"' in page


def test_words_beyond_the_shown_part_of_a_long_text_do_no_harm(client: Client) -> None:
    text = "neno " * 40_000
    words = [{"start": 5, "end": 9, "weight": 1.0}, {"start": 150_000, "end": 150_004, "weight": 1}]
    item, _ = item_of(text, evidence=word_evidence(words, end=200_000))

    page = client.get(page_of(item))

    assert page.text.count("<mark") == 1 + 4  # and the legend's
    assert len(page.content) < 160_000


def test_drawings_of_the_content_are_blurred_and_a_spectrogram_is_not(client: Client) -> None:
    picture, score = of_kind("image")
    draw(score, "picture", "heatmap", "noise")
    page = client.get(page_of(picture)).text
    assert page.count('<img class="blurred hideable" src="' + at("", picture, score)) == 3
    assert '<figure data-of-view="heatmap" >' in page  # shown first
    assert 'alt="The heatmap: 42 percent."' in page

    sound, score = of_kind("audio")
    draw(score, "seconds", "window", plot=Plot(0.1, 0.9, 0.2, 0.8, 0.0, 12.5))
    page = client.get(page_of(sound)).text
    assert f'<img  src="{at("-drawing", sound, score, "seconds")}"' in page
    places = {"left": 0.1, "right": 0.9, "top": 0.2, "bottom": 0.8, "start": 0.0, "end": 12.5}
    assert " ".join(f'data-{name}="{value}"' for name, value in places.items()) in page


def test_a_drawing_comes_as_a_png_that_cannot_do_harm(client: Client) -> None:
    item, score = of_kind("image")
    draw(score, "heatmap")

    answer = client.get(at("-drawing", item, score, "heatmap"))

    assert Image.open(io.BytesIO(answer.content)).size == (990, 500)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'inline; filename="evidence-{score.pk}-heatmap.png"'
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert "private" in answer["Cache-Control"]
    assert client.get(at("-drawing", item, score, "noise")).status_code == 404


def test_the_figures_come_as_a_file_with_hashes_and_without_storage_names(client: Client) -> None:
    item, score = of_kind("image")
    draw(score, "heatmap")

    answer = client.get(at("-record", item, score))

    found = answer.json()
    assert answer["Content-Disposition"].startswith("attachment")
    assert (found["detector"], found["version"]) == (score.detector, score.version)
    assert found["drawings"][0]["sha256"] == score.evidence["drawings"][0]["sha256"]
    assert "evidence/" not in answer.text


# --- Failed --------------------------------------------------------------------------------------


def test_a_failure_is_told_with_its_reason_and_can_be_tried_again(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    failed = {"state": "failed", "failure": "abusive-text 1.0.0 is no longer installed."}
    item, score = item_of("You idiot.", evidence=failed)

    assert "abusive-text 1.0.0 is no longer installed." in client.get(page_of(item)).text
    assert rings == []
    again = client.post(at("-again", item, score), headers={"HX-Request": "true"}).text
    assert rings == [("detection.tasks.explain_screen", score.pk)]
    assert "?attempt=1" in again
    client.post(at("-again", item, score))
    assert client.get(at("-again", item, score)).status_code == 405


def test_trying_again_what_is_there_computes_nothing(
    client: Client, rings: list[tuple[object, ...]]
) -> None:
    item, score = item_of("You idiot.", evidence=IDIOT)
    assert "idiot" in client.post(at("-again", item, score), headers={"HX-Request": "true"}).text
    assert rings == []


# --- Whose it is -------------------------------------------------------------------------


def test_evidence_of_foreign_items_is_missing(client: Client) -> None:
    item, score = of_kind("image")
    draw(score, "heatmap")
    other, _ = of_kind("image")
    stranger = Client()
    stranger.force_login(factories.reviewer(organisation=factories.OrganisationFactory()))
    for name, more in (("", ()), ("-drawing", ("heatmap",)), ("-record", ())):
        assert stranger.get(at(name, item, score, *more)).status_code == 404
        assert client.get(at(name, other, score, *more)).status_code == 404  # of another item
        assert Client().get(at(name, item, score, *more)).status_code == 302
    assert stranger.post(at("-again", item, score)).status_code == 404
