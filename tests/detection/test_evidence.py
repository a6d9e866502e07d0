from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from detection import evidence, scoring
from detection.models import AnalysisJob, DetectorScore
from inference_worker.registry import Registry, load_models
from inference_worker.runtime import Runtime
from inference_worker.types import Modality
from tests.detection.runtimes import end
from tests.factories import DetectorScoreFactory, JobFactory

pytestmark = pytest.mark.django_db

TEXT = "The weather is nice today and the market opens at nine, you stupid worthless idiot."


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_models(Path(settings.KILINDA_MODELS), {Modality.TEXT})


@pytest.mark.django_db(transaction=True)
def test_the_insult_weighs_more_than_the_weather(registry: Registry) -> None:
    job = JobFactory(submission__text=TEXT)
    runtime = Runtime(registry, decoder=None)
    claimer = scoring.healthy_claimer(AnalysisJob.Lane.SCREEN, "test")
    runtime.drain(scoring.QueueSource(claimer, may_claim=lambda: True))
    end(runtime)
    score = DetectorScore.objects.get(result__job=job)
    assert evidence.is_missing(score)
    evidence.explain(score.pk, registry)
    score.refresh_from_db()
    weights = {
        TEXT[word["start"] : word["end"]]: word["weight"] for word in score.evidence["words"]
    }
    insult = max(
        weight for word, weight in weights.items() if word.strip(",.") in {"stupid", "idiot"}
    )
    assert insult > weights["weather"]
    assert not evidence.is_missing(score)
    assert AnalysisJob.objects.get(id=job.id).state == "done"


def test_another_version_of_the_detector_does_not_explain_a_score(registry: Registry) -> None:
    segments = [{"start": 0, "end": 10, "probability": 0.9}]
    score = DetectorScoreFactory(version="0.0.1", segments=segments)
    evidence.explain(score.pk, registry)
    score.refresh_from_db()
    assert "is not registered" in score.evidence["unavailable"]


def test_only_judged_texts_are_explained() -> None:
    assert not evidence.is_missing(DetectorScoreFactory(segments=[]))
    assert not evidence.is_missing(
        DetectorScoreFactory(
            result__job__submission__image=True,
            segments=[{"start": 0, "end": 1, "probability": 0.9}],
        )
    )
