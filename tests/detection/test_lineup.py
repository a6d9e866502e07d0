"""How a worker's models follow the rollout: nothing loaded twice, nothing lost when one fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from detection import bases, lineup, rollout, scoring
from detection.lineup import Lineup
from detection.models import AnalysisJob, AnalysisResult, DetectorScore
from detection.versions import ModelVersion
from inference_worker import registry
from inference_worker.errors import ModelUnusable
from inference_worker.runtime import Runtime
from inference_worker.types import Modality
from kilinda import health
from kilinda.ids import uuid7
from kilinda.partners.models import User
from tests import factories, model_folders
from tests.detection.runtimes import end
from tests.factories import JobFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

BAD = "bad bad bad bad"


@pytest.fixture(autouse=True)
def models(settings, tmp_path, monkeypatch) -> Path:
    place = tmp_path / "models"
    place.mkdir()
    settings.KILINDA_MODELS, settings.KILINDA_HOME = str(place), tmp_path / "home"
    monkeypatch.setitem(registry.DETECTORS, model_folders.DETECTOR, "tests.model_folders:Built")
    monkeypatch.setattr(model_folders.Built, "made", [])
    factories.active_policy()
    model_folders.write(place)
    bases.sync()
    return place


@pytest.fixture
def lane(models) -> Iterator[Lineup]:
    made = Lineup({Modality.TEXT}, None, lambda label, seconds: None)
    yield made
    if made._runtime:
        end(made._runtime)


@pytest.fixture
def admin() -> User:
    return UserFactory()


def candidate(models: Path, admin: User, version: str = "1.1.0", **changed: object) -> ModelVersion:
    model_folders.write(models, version=version, **changed)
    (made,) = rollout.register(source=str(models), actor=admin)
    return made


def settled(lane: Lineup) -> Runtime:
    """Return the runtime once everything that had to be fetched is there and built."""
    lane.runtime()
    if lane._fetching:
        lane._fetching.join()
    return lane.runtime()


def judge(runtime: Runtime, *texts: str) -> list[AnalysisJob]:
    jobs = [JobFactory(submission__text=text) for text in texts]
    claimer = scoring.healthy_claimer(AnalysisJob.Lane.SCREEN, "test")
    runtime.drain(scoring.QueueSource(claimer, may_claim=lambda: True))
    return jobs


def roles(job: AnalysisJob) -> dict[str, str]:
    scores = DetectorScore.everything.filter(result__job=job)
    return {score.version: score.role for score in scores}


def counted(job: AnalysisJob) -> list[str]:
    return list(AnalysisResult.objects.get(job=job).metadata["models"])


# --- Following -----------------------------------------------------------------------------------


def test_an_activation_reaches_a_running_lineup_and_the_results_name_it(models, lane, admin):
    (before,) = judge(lane.runtime(), BAD)
    second = candidate(models, admin)
    assert not lane.is_behind()  # a candidate concerns no worker
    rollout.activate(version=second, actor=admin)
    assert lane.is_behind()
    (after,) = judge(settled(lane), BAD)
    assert (counted(before), counted(after)) == (["words@1.0.0"], ["words@1.1.0"])
    second.refresh_from_db()
    assert second.loaded_at is not None
    assert not lane.is_behind()


def test_while_files_are_fetched_the_old_models_go_on(models, lane, admin, monkeypatch):
    runtime = lane.runtime()
    rollout.activate(version=candidate(models, admin), actor=admin)
    real = lineup.fetch
    monkeypatch.setattr(lineup, "fetch", lambda posts: (released.wait(10), real(posts))[1])
    released = lineup.threading.Event()
    assert lane.runtime() is runtime
    assert not lane.is_behind()  # nothing to do before the files are there
    (job,) = judge(runtime, BAD)
    assert counted(job) == ["words@1.0.0"]
    released.set()
    assert settled(lane).registry.model_set == "words@1.1.0"


def test_a_model_that_stays_is_not_loaded_again(models, lane, admin):
    model_folders.write(models, "others")
    lane.runtime()
    rollout.activate(version=candidate(models, admin), actor=admin)
    settled(lane)
    assert model_folders.Built.made == ["others@1.0.0", "words@1.0.0", "words@1.1.0"]


def test_rolling_back_loads_what_was_active_before(models, lane, admin):
    second = candidate(models, admin)
    lane.runtime()
    rollout.activate(version=second, actor=admin)
    settled(lane)
    rollout.roll_back(version=second, actor=admin)
    assert settled(lane).registry.model_set == "words@1.0.0"


# --- Models that cannot be loaded ----------------------------------------------------------------


def broken(kind: str, models: Path, admin: User) -> ModelVersion:
    if kind == "its constructor raises":
        return candidate(models, admin, gates={"broken": True})
    made = candidate(models, admin)
    folder = models / "words-1.1.0"
    if kind == "its files are gone":
        shutil.rmtree(folder)
    else:
        (folder / "model.safetensors").write_bytes(b"other weights")
    return made


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("its constructor raises", "cannot be built: 'a key that the folder lacks'"),
        ("its files are gone", "kilinda.json: No such file"),
        ("its weights were altered", "model.safetensors does not match its sha256"),
    ],
)
def test_the_old_model_goes_on_where_the_new_one_cannot_be_loaded(models, lane, admin, kind, named):
    lane.runtime()
    second = broken(kind, models, admin)
    rollout.activate(version=second, actor=admin)
    (job,) = judge(settled(lane), BAD)
    assert counted(job) == ["words@1.0.0"]
    second.refresh_from_db()
    assert named in second.load_error
    with pytest.raises(health.CheckFailed, match=r"words@1\.1\.0 is not loaded on"):
        health.check_rollout()


def test_a_worker_that_starts_then_takes_what_was_active_before(models, lane, admin):
    rollout.activate(version=broken("its files are gone", models, admin), actor=admin)
    assert lane.runtime().registry.model_set == "words@1.0.0"


def test_it_is_tried_again_later(models, lane, admin, monkeypatch):
    lane.runtime()
    second = broken("its files are gone", models, admin)
    rollout.activate(version=second, actor=admin)
    settled(lane)
    assert not lane.is_behind()
    monkeypatch.setattr(lineup.time, "monotonic", lambda real=lineup.time.monotonic: real() + 61)
    model_folders.write(models, version="1.1.0")
    assert lane.is_behind()
    assert settled(lane).registry.model_set == "words@1.1.0"
    second.refresh_from_db()
    assert second.load_error == ""
    health.check_rollout()


def test_without_any_model_a_worker_does_not_start(models, lane):
    ModelVersion.objects.all().delete()
    shutil.rmtree(models)
    with pytest.raises(ModelUnusable, match="No model is active for text"):
        lane.runtime()


# --- Shadows and canaries ------------------------------------------------------------------------


def test_a_shadows_score_is_kept_and_changes_nothing(models, lane, admin):
    second = candidate(models, admin)
    (plain,) = judge(lane.runtime(), BAD)
    rollout.start_shadow(version=second, actor=admin)
    (job,) = judge(settled(lane), BAD)
    assert roles(job) == {"1.0.0": "active", "1.1.0": "shadow"}
    assert counted(job) == ["words@1.0.0"]
    results = [AnalysisResult.objects.get(job=each) for each in (plain, job)]
    assert results[0].text_score == results[1].text_score
    assert results[0].findings == results[1].findings
    assert [score.version for score in results[1].scores.all()] == ["1.0.0"]


def test_a_canary_judges_its_share_and_the_active_one_is_compared_there(models, lane, admin):
    share = 40
    lane.runtime()
    second = candidate(models, admin)
    rollout.start_canary(version=second, share_percent=share, actor=admin)
    jobs = judge(settled(lane), *[f"{BAD} {n}" for n in range(40)])
    chosen = [job for job in jobs if scoring.draw_of(job.id) < share / 100]
    assert 0 < len(chosen) < 40
    for job in jobs:
        if job in chosen:
            assert roles(job) == {"1.0.0": "shadow", "1.1.0": "canary"}
            assert counted(job) == ["words@1.1.0"]
        else:
            assert roles(job) == {"1.0.0": "active"}
            assert counted(job) == ["words@1.0.0"]


def test_the_draw_of_a_job_is_spread_evenly_and_stays():
    draws = [scoring.draw_of(uuid7()) for _ in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert 0.2 < sum(draw < 0.25 for draw in draws) / 4000 < 0.3
    job = uuid7()
    assert scoring.draw_of(job) == scoring.draw_of(job)


# --- Evidence ------------------------------------------------------------------------------------


def test_a_retired_version_is_loaded_to_explain_what_it_said(models, lane, admin):
    second = candidate(models, admin)
    lane.runtime()
    rollout.activate(version=second, actor=admin)
    settled(lane)
    _, found = lineup.load_version("words", "1.0.0")
    assert (found.name, found.version) == ("words", "1.0.0")
    with pytest.raises(ModelUnusable, match=r"words@0\.9 is not registered"):
        lineup.load_version("words", "0.9")
