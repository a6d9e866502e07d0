"""From a real file to the reviewer's page: its content credential, and the text in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django.urls import reverse

from detection import scoring
from detection.models import AnalysisJob, AnalysisResult
from inference_worker.decoding.decoder import Decoder
from inference_worker.ocr.reader import text_reader
from inference_worker.ocr.tesseract import installed
from inference_worker.runtime import Runtime
from inference_worker.types import Modality
from kilinda.partners.models import User
from review.models import ReviewItem
from tests import factories
from tests.detection.runtimes import end
from tests.inference_worker.toys import WordCounter, registry
from tests.screenshots import FONTS, chat
from tests.signing import created, signed

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = factories.picture_bytes(format="JPEG")
Judge = Callable[[bytes, str], AnalysisResult]


@pytest.fixture
def judge() -> Iterator[Judge]:
    """Run a picture through the queue and a runtime that reads what is written in it."""
    made = Runtime(
        registry(WordCounter(), modality=Modality.TEXT),
        Decoder(slots=1),
        text_reader=text_reader(),
    )
    policy = factories.active_policy()
    policy.audit_rate_percent = 100  # so that there is a page for each
    policy.save()

    def judge(content: bytes, mime: str = "image/jpeg") -> AnalysisResult:
        media = factories.media(content, mime, "image")
        job = factories.JobFactory(submission__image=True, submission__media=media)
        claimer = scoring.healthy_claimer(AnalysisJob.Lane.MEDIA, "worker")
        assert made.drain(scoring.QueueSource(claimer, may_claim=lambda: True)) == 1
        return AnalysisResult.objects.get(job=job)

    yield judge
    end(made)


def page_of(result: AnalysisResult, reader: User) -> str:
    client = Client()
    client.force_login(reader)
    item = ReviewItem.objects.get(result=result)
    return client.get(reverse("review:item", args=[item.pk])).text


def test_a_picture_that_declares_ai_is_high_risk_and_its_page_says_who_declared_it(
    judge: Judge, amina: User
) -> None:
    result = judge(signed(PLAIN, "image/jpeg", created("trainedAlgorithmicMedia")), "image/jpeg")

    (finding,) = result.findings
    assert (result.risk_level, finding["code"]) == ("high", "content_credential_ai")
    assert finding["details"]["issuer"] == "Test Newsroom"
    page = page_of(result, amina)
    for words in (
        "Intact, from an unknown signer",
        "Made by generative AI",
        "Test Newsroom",
        "Test Camera 1.2",
    ):
        assert words in page


def test_a_camera_credential_raises_nothing(judge: Judge, amina: User) -> None:
    result = judge(signed(PLAIN, "image/jpeg", created("digitalCapture")), "image/jpeg")

    assert [finding["severity"] for finding in result.findings] == ["info"]
    assert "Taken with a camera" in page_of(result, amina)


def test_a_broken_credential_asks_for_a_person_and_says_what_broke(
    judge: Judge, amina: User
) -> None:
    content = bytearray(signed(PLAIN, "image/jpeg", created("digitalCapture")))
    content[-40] ^= 1

    result = judge(bytes(content), "image/jpeg")

    assert (result.risk_level, result.findings[0]["code"]) == (
        "medium",
        "content_credential_broken",
    )
    page = page_of(result, amina)
    assert "The content was changed after it was signed." in page
    assert "assertion.dataHash.mismatch" in page


def test_an_address_a_credential_names_is_shown_as_text_and_never_as_a_link(
    judge: Judge, amina: User
) -> None:
    address = "https://tracker.example/?<script>"
    kept = signed(PLAIN, "image/jpeg", created("digitalCapture"), kept_at=address)

    page = page_of(judge(kept, "image/jpeg"), amina)

    assert "Kept elsewhere, not fetched" in page
    assert "tracker.example" in page
    assert 'href="https://tracker' not in page
    assert "<script>" not in page


def test_without_a_credential_the_page_says_that_it_means_nothing(
    judge: Judge, amina: User
) -> None:
    page = page_of(judge(PLAIN, "image/jpeg"), amina)
    assert "Most files have none" in page
    assert "credential-title" not in page


def test_results_from_before_credentials_were_read_show_none(item: ReviewItem, amina: User) -> None:
    assert "Content credential" not in page_of(item.result, amina)


@pytest.mark.skipif(installed() is None or not FONTS, reason="tesseract or fonts not installed")
def test_a_bad_message_in_a_screenshot_is_scored_and_marked(judge: Judge, amina: User) -> None:
    out = io.BytesIO()
    chat(["good day to all of you", "bad bad bad bad", "see you at the meeting"]).save(out, "PNG")

    result = judge(out.getvalue(), "image/png")

    assert result.risk_level == "critical"
    assert float(result.text_score or 0) > 95
    page = page_of(result, amina)
    assert "Text read in the picture" in page
    assert '<mark class="level-critical" title="95' in page
    assert page.count("<rect x=") == len(result.metadata["read_words"])
