"""Evidence computed by a worker: for each kind of content, once, kept, removed with its score."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from PIL import Image

from detection import evidence, evidence_files, explaining, scoring
from detection.evidence import State, state_of
from detection.models import AnalysisJob, DetectorScore
from inference_worker.decoding.decoder import Decoder
from inference_worker.explaining.judging import judge
from inference_worker.found_text import kept
from inference_worker.registry import Registry, load_models
from inference_worker.runtime import Runtime
from inference_worker.types import FoundText, Line, Origin, Passage, Score
from kilinda.demo.content import SAMPLES
from review.explanations import text_of
from tests import factories
from tests.detection.runtimes import end
from tests.factories import DetectorScoreFactory, JobFactory

pytestmark = pytest.mark.django_db

TEXT = "The weather is nice today and the market opens at nine, you stupid worthless idiot."
MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_models(Path(settings.KILINDA_MODELS))


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(slots=1) as decoder:
        yield decoder


def judged(registry: Registry, decoder: Decoder | None, job: AnalysisJob) -> list[DetectorScore]:
    """Let the worker's own loop judge the job; return its scores that were given."""
    runtime = Runtime(registry, decoder=Decoder(slots=1) if decoder else None)
    runtime.drain(
        scoring.QueueSource(scoring.healthy_claimer(job.lane, "test"), may_claim=lambda: True)
    )
    end(runtime)
    return list(DetectorScore.objects.filter(result__job=job, probability__isnull=False))


def sample(name: str, mime: str, modality: str) -> AnalysisJob:
    content = (SAMPLES / name).read_bytes()
    return JobFactory(
        **{f"submission__{modality}": True},
        submission__media=factories.media(content, mime, modality),
    )


def explained(score: DetectorScore, registry: Registry, decoder: Decoder | None) -> DetectorScore:
    explaining.explain(score.pk, registry, decoder)
    score.refresh_from_db()
    assert state_of(score) is State.READY, score.evidence
    return score


def check_drawings(score: DetectorScore, names: set[str]) -> None:
    """Each is a small PNG, kept under its hash, described in words and numbers."""
    drawings = score.evidence["drawings"]
    assert {drawing["name"] for drawing in drawings} == names
    for drawing in drawings:
        content = evidence_files.read(drawing)
        assert hashlib.sha256(content).hexdigest() == drawing["sha256"]
        assert len(content) == drawing["size_bytes"] <= MOST_BYTES
        image = Image.open(io.BytesIO(content))
        assert (image.format, image.size) == ("PNG", (drawing["width"], drawing["height"]))
        assert any(character.isdigit() for character in drawing["alt"])
        assert np.asarray(image.convert("L")).std() > 10


# --- Each kind of content ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_insult_weighs_more_than_the_weather(registry: Registry) -> None:
    (score,) = judged(registry, None, JobFactory(submission__text=TEXT))
    assert state_of(score) is State.MISSING
    facts = explained(score, registry, None).evidence["facts"]
    weights = {TEXT[word["start"] : word["end"]]: word["weight"] for word in facts["words"]}
    assert min(weights["stupid"], weights["idiot."]) > abs(weights["weather"])
    total = facts["log_odds"] - facts["blank_log_odds"] - facts["gap"]
    assert sum(word["weight"] for word in facts["words"]) == pytest.approx(total, abs=0.01)
    assert score.evidence["content_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_a_recording_has_its_seconds_and_its_worst_window(
    registry: Registry, decoder: Decoder
) -> None:
    job = sample("computer-voice-sw.ogg", "audio/ogg", "audio")
    (score,) = judged(registry, decoder, job)
    found = explained(score, registry, decoder).evidence
    check_drawings(score, {"seconds", "window"})
    assert len(found["facts"]["seconds"]) == 15
    assert all(not drawing["shows_content"] for drawing in found["drawings"])
    plot = found["drawings"][0]["plot"]
    assert 0 < plot["left"] < plot["right"] < 1
    assert (plot["start"], plot["end"]) == (0, pytest.approx(14.98, abs=0.05))


@pytest.mark.django_db(transaction=True)
def test_a_picture_has_itself_a_heatmap_and_its_noise(registry: Registry, decoder: Decoder) -> None:
    job = sample("pattern.png", "image/png", "image")
    score = next(each for each in judged(registry, decoder, job) if each.label == "synthetic_image")
    found = explained(score, registry, decoder).evidence
    check_drawings(score, {"picture", "heatmap", "noise"})
    assert np.array(found["facts"]["falls"], float).shape == (8, 8)
    assert all(drawing["shows_content"] for drawing in found["drawings"])


@pytest.mark.django_db(transaction=True)
def test_a_video_has_its_frames_and_its_sound_track(registry: Registry, decoder: Decoder) -> None:
    scores = judged(registry, decoder, sample("pan.mp4", "video/mp4", "video"))
    by_label = {score.label: score for score in scores}
    seen = explained(by_label["synthetic_image"], registry, decoder)
    check_drawings(seen, {"frames", "heatmap"})
    assert len(seen.evidence["facts"]["frames"]) == len(seen.segments)
    heard = explained(by_label["synthetic_speech"], registry, decoder)
    check_drawings(heard, {"seconds", "window"})


def test_of_two_texts_found_in_media_the_one_that_scored_is_explained(registry: Registry) -> None:
    folder, detector = registry.for_task("abuse")
    said = FoundText(Origin.SPEECH, "whisper 1", (Line("Good morning, the office is open."),))
    written = FoundText(Origin.PICTURE, "tesseract 5", (Line(TEXT),))
    judgement = judge(detector, Passage(TEXT))
    assert isinstance(judgement, Score)
    score = DetectorScoreFactory(
        result__job__submission__video=True,
        result__metadata={"found_text": [kept(said), kept(written)]},
        kind="text",
        detector=folder.name,
        version=folder.version,
        label="abuse",
        raw=judgement.raw,
        segments=[{"start": 0, "end": 3, "probability": judgement.probability}],
    )
    found = explained(score, registry, None)
    top = max(found.evidence["facts"]["words"], key=lambda word: word["weight"])
    assert TEXT[top["start"] : top["end"]] in {"stupid", "worthless", "idiot."}
    assert text_of(found) == TEXT


# --- Once ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_have_it_computed_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (score,) = judged(registry, None, JobFactory(submission__text=TEXT))
    computed: list[int] = []
    real = explaining._computed

    def counted(*args: object) -> dict[str, object]:
        computed.append(1)
        return real(*args)

    monkeypatch.setattr(explaining, "_computed", counted)

    def explain() -> None:
        try:
            explaining.explain(score.pk, registry, None)
        finally:
            connection.close()

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    explaining.explain(score.pk, registry, None)
    score.refresh_from_db()
    assert computed == [1]
    assert state_of(score) is State.READY


# --- What goes wrong ----------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    rings: list[tuple[int, str]] = []
    monkeypatch.setattr(
        "detection.doorbell.ask_for_evidence", lambda score_id, lane: rings.append((score_id, lane))
    )
    return rings


SEGMENTS = [{"start": 0, "end": 10, "probability": 0.9}]


def test_another_version_of_the_detector_does_not_explain_a_score(
    registry: Registry, asked: list[tuple[int, str]]
) -> None:
    score = DetectorScoreFactory(version="0.0.1", segments=SEGMENTS)
    explaining.explain(score.pk, registry, None)
    score.refresh_from_db()
    assert state_of(score) is State.FAILED
    assert "0.0.1" in evidence.failure_of(score)
    evidence.try_again(score)
    score.refresh_from_db()
    assert state_of(score) is State.MISSING
    assert asked == [(score.pk, "screen")]


def test_a_failure_of_the_machine_is_told_without_its_words(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path exploded")

    monkeypatch.setattr(explaining, "exhibit", broken)
    folder = registry.for_task("abuse")[0]
    score = DetectorScoreFactory(detector=folder.name, version=folder.version, segments=SEGMENTS)
    explaining.explain(score.pk, registry, None)
    score.refresh_from_db()
    assert state_of(score) is State.FAILED
    assert "secret" not in evidence.failure_of(score)


def test_a_computation_whose_worker_was_lost_can_be_tried_again(
    registry: Registry, asked: list[tuple[int, str]]
) -> None:
    long_ago = time.time() - evidence.LONGEST_SECONDS - 1
    lost = {"state": "computing", "since": long_ago}
    score = DetectorScoreFactory(version="0.0.1", segments=SEGMENTS, evidence=lost)
    assert state_of(score) is State.FAILED
    assert "180 seconds" in evidence.failure_of(score)
    evidence.try_again(score)
    assert asked == [(score.pk, "screen")]
    explaining.explain(score.pk, registry, None)
    score.refresh_from_db()
    assert "is not registered" in evidence.failure_of(score)


def test_evidence_is_asked_for_where_it_is_missing_and_nowhere_else(
    asked: list[tuple[int, str]],
) -> None:
    missing = DetectorScoreFactory(segments=SEGMENTS)
    image = DetectorScoreFactory(result__job__submission__image=True)
    for evidence_now in ({"state": "ready"}, {"state": "computing", "since": time.time()}):
        evidence.ask_for(DetectorScoreFactory(segments=SEGMENTS, evidence=evidence_now))
    evidence.ask_for(DetectorScoreFactory(probability=None))
    evidence.ask_for(missing)
    evidence.ask_for(image)
    assert asked == [(missing.pk, "screen"), (image.pk, "media")]


# --- Deletion ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_drawings_go_when_the_submission_goes(registry: Registry, decoder: Decoder) -> None:
    job = sample("pattern.png", "image/png", "image")
    score = judged(registry, decoder, job)[0]
    names = [
        drawing["file"] for drawing in explained(score, registry, decoder).evidence["drawings"]
    ]
    assert all(default_storage.exists(name) for name in names)
    job.submission.delete()
    assert not any(default_storage.exists(name) for name in names)


@pytest.mark.django_db(transaction=True)
def test_evidence_of_a_submission_deleted_meanwhile_leaves_no_files(
    registry: Registry, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sample("pattern.png", "image/png", "image")
    score = judged(registry, decoder, job)[0]
    real, stored = explaining.exhibit, []

    def deleted_meanwhile(*args: object) -> object:
        found = real(*args)
        job.submission.delete()
        return found

    keep = evidence_files.keep
    monkeypatch.setattr(explaining, "exhibit", deleted_meanwhile)
    monkeypatch.setattr(
        evidence_files, "keep", lambda *args: stored.extend(keep(*args)) or list(stored)
    )
    explaining.explain(score.pk, registry, decoder)
    assert stored
    assert not any(default_storage.exists(drawing["file"]) for drawing in stored)
