"""How a doorbell's task spends its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import numpy as np
import pytest
from django.db.models.functions import Now

from detection import doorbell, queue, tasks
from detection.models import AnalysisJob
from inference_worker.runtime import Runtime
from inference_worker.types import Window
from kilinda.celery import app
from tests import factories
from tests.detection.runtimes import end
from tests.factories import JobFactory
from tests.inference_worker.toys import WordCounter, registry

Lane = AnalysisJob.Lane

pytestmark = pytest.mark.django_db(transaction=True)


class Loaded(WordCounter):
    """A detector under load: whenever it has judged healthy texts, more have arrived."""

    def forward(self, windows: Sequence[Window]) -> np.ndarray:
        JobFactory.create_batch(len(windows))
        return super().forward(windows)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rings: list[str] = []
    monkeypatch.setattr("detection.doorbell.ring", rings.append)
    return rings


@pytest.fixture
def judging(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Iterator[Callable[[WordCounter], None]]:
    """Let the tasks of this process judge with a toy."""
    factories.active_policy()
    made: list[Runtime] = []

    def judge(detector: WordCounter) -> None:
        made.append(Runtime(registry(detector), decoder=None))
        monkeypatch.setattr(tasks, "runtime", lambda _lane: made[-1])

    yield judge
    for runtime in made:
        end(runtime)


def suspect() -> AnalysisJob:
    job: AnalysisJob = JobFactory()
    queue.claim(lane=Lane.SCREEN, limit=1, owner="lost")
    AnalysisJob.objects.update(lease_until=Now() - timedelta(seconds=1))
    queue.sweep()
    return job


def test_an_empty_lane_ends_the_drain_and_rings_nobody(
    judging: Callable[[WordCounter], None], rung: list[str]
) -> None:
    judging(WordCounter())
    JobFactory.create_batch(3)
    assert tasks.drain(Lane.SCREEN) == 3
    assert rung == []


def test_a_suspect_has_its_turn_while_healthy_jobs_never_end(
    judging: Callable[[WordCounter], None], rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "HEALTHY_SECONDS", 0.2)
    judging(Loaded())
    job = suspect()
    JobFactory()
    tasks.drain(Lane.SCREEN, seconds=2.0)
    assert AnalysisJob.objects.get(id=job.id).state == "done"
    assert rung == ["screen"]  # work is left, so the next task goes on with it


def test_every_task_a_doorbell_rings_exists_and_has_a_lane_that_listens() -> None:
    routes = app.conf.task_routes
    for names in (doorbell.TASKS, doorbell.EXPLAINERS):
        for lane, name in names.items():
            assert name in app.tasks
            assert routes.get(name, {"queue": "default"})["queue"] in {lane, "default"}
    assert routes[doorbell.EXPLAINERS[Lane.MEDIA]]["queue"] == "media"
    assert routes[doorbell.EXPLAINERS[Lane.SCREEN]]["queue"] == "screen"


def test_a_task_explains_with_the_models_of_its_lane(
    judging: Callable[[WordCounter], None],
) -> None:
    judging(WordCounter())
    score = factories.DetectorScoreFactory(
        detector="word-counter", version="9", segments=[{"start": 0, "end": 5, "probability": 0.9}]
    )
    tasks.explain_screen(score.pk)
    score.refresh_from_db()
    assert score.evidence["state"] == "failed"
    assert "word-counter@9" in score.evidence["failure"]
