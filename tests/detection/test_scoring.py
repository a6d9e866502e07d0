"""What becomes of judged jobs, on the real queue: written once, whole, and only under the lease."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models.functions import Now

from detection import policies, queue, scoring
from detection.models import AnalysisJob, AnalysisResult, DetectorScore
from detection.queue import ClaimedJob
from detection.signals import analysis_completed
from inference_worker.looks import Judged, Sense
from inference_worker.runtime import Analysed, Runtime
from inference_worker.types import Abstention, Score, Segment
from kilinda.partners.models import Event
from review.models import ReviewItem
from tests import factories
from tests.detection.runtimes import end
from tests.factories import JobFactory
from tests.inference_worker.toys import MEASURED, WordCounter, registry

Lane = AnalysisJob.Lane

pytestmark = pytest.mark.django_db

SURE = Score("toy", "1", "abuse", 0.97, 3.5, (Segment(0, 5, 0.97),))
FINE = Score("toy", "1", "abuse", 0.01, -4.6, reliability=MEASURED)
UNMEASURED = replace(FINE, reliability=None, notes={"groups": ["language:so"]})
UNSURE = Abstention("toy", "1", "abuse", "too_short", "There is no word.")


@pytest.fixture(autouse=True)
def never_by_chance(request: pytest.FixtureRequest) -> None:
    """Let no review item be opened by the random check."""
    name = "transactional_db" if _is_transactional(request) else "db"
    request.getfixturevalue(name)
    policy = factories.active_policy()
    policy.audit_rate_percent = 0
    policy.save()


def _is_transactional(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction"))


def claimed(count: int = 1, **job: Any) -> list[ClaimedJob]:
    JobFactory.create_batch(count, **job)
    return queue.claim(lane=Lane.SCREEN, limit=count, owner="worker")


def analysed(job: ClaimedJob, said: Score | Abstention = SURE) -> Analysed[ClaimedJob]:
    return Analysed(job, [Judged(Sense.TEXT, said)], {"characters": 5})


def record(*done: Analysed[ClaimedJob]) -> list[AnalysisResult]:
    policy, rules = policies.active()
    return scoring.record(done, policy=policy, rules=rules)


def lose(job: ClaimedJob) -> None:
    """Let the lease end and somebody else take the job."""
    AnalysisJob.objects.filter(id=job.id).update(lease_until=Now() - timedelta(seconds=1))
    queue.sweep()
    assert queue.claim_suspect(lane=Lane.SCREEN, owner="other")


def written() -> dict[str, int]:
    rows = (AnalysisResult, DetectorScore, Event, ReviewItem)
    return {row.__name__: row.objects.count() for row in rows}


NOTHING = {"AnalysisResult": 0, "DetectorScore": 0, "Event": 0, "ReviewItem": 0}


def test_a_finished_job_gets_its_result_score_event_and_review_item() -> None:
    (job,) = claimed()
    record(analysed(job))
    result = AnalysisResult.objects.get(job_id=job.id)
    assert (result.overall_confidence, result.text_score) == (Decimal("97.00"), Decimal("97.00"))
    assert (result.risk_level, result.audio_score, result.visual_score) == ("critical", None, None)
    assert result.metadata["models"] == ["toy@1"]
    assert result.metadata["characters"] == 5
    score = DetectorScore.objects.get(result=result)
    assert (score.probability, score.raw, score.kind) == (0.97, 3.5, "text")
    assert score.segments == [{"start": 0, "end": 5, "probability": 0.97}]
    event = Event.objects.get()
    assert (event.type, event.subject_id) == ("analysis.completed", job.submission_id)
    assert ReviewItem.objects.get().reason == ReviewItem.Reason.RISK
    assert AnalysisJob.objects.get().state == "done"


def test_a_low_score_asks_no_person() -> None:
    (job,) = claimed()
    record(analysed(job, FINE))
    assert written() == NOTHING | {"AnalysisResult": 1, "DetectorScore": 1, "Event": 1}


def test_a_low_score_that_was_never_measured_asks_a_person_and_is_stored_as_such() -> None:
    (job,) = claimed()
    (result,) = record(analysed(job, UNMEASURED))
    stored = AnalysisResult.objects.get(pk=result.result_id)
    unmeasured = {"grade": "unmeasured", "groups": ["language:so"], "n": None}
    assert unmeasured.items() <= stored.reliability["text"].items()
    assert stored.scores.get().reliability == stored.reliability["text"]
    assert "(Somali); policy version 1 asks for a person." in stored.metadata["reasons"][-1]
    assert ReviewItem.objects.get().reason == ReviewItem.Reason.UNMEASURED


def test_what_no_detector_could_judge_is_null_with_the_reason_and_goes_to_a_person() -> None:
    (job,) = claimed()
    record(analysed(job, UNSURE))
    result = AnalysisResult.objects.get()
    assert (result.overall_confidence, result.text_score) == (None, None)
    assert result.findings[0]["message"] == "There is no word."
    assert DetectorScore.objects.get().abstention_code == "too_short"
    assert ReviewItem.objects.get().reason == ReviewItem.Reason.NOT_JUDGED


def test_recording_the_same_job_twice_writes_one_result() -> None:
    (job,) = claimed()
    assert len(record(analysed(job))) == 1
    before = written()
    assert record(analysed(job)) == []
    assert written() == before


def test_a_worker_that_lost_its_lease_writes_nothing() -> None:
    (job,) = claimed()
    lose(job)
    assert record(analysed(job)) == []
    assert written() == NOTHING
    assert AnalysisJob.objects.get().state == "running"  # the other's


def test_a_lost_lease_takes_no_other_job_of_the_group_along() -> None:
    kept, lost, also_kept = claimed(3)
    lose(lost)
    results = record(*map(analysed, (kept, lost, also_kept)))
    assert {result.job_id for result in results} == {kept.id, also_kept.id}


def test_a_receiver_that_raises_leaves_nothing_written() -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("routing is broken")

    (job,) = claimed()
    analysis_completed.connect(broken)
    try:
        with pytest.raises(RuntimeError, match="routing is broken"):
            record(analysed(job))
    finally:
        analysis_completed.disconnect(broken)
    assert written() == NOTHING
    assert AnalysisJob.objects.get().state == "running"
    assert len(record(analysed(job))) == 1  # and the lease still counts


def test_a_failed_job_tells_the_partner_why() -> None:
    (job,) = claimed()
    scoring.fail(job, code="truncated", reason="The file ends too early.")
    event = Event.objects.get()
    assert (event.type, event.organisation_id) == ("analysis.failed", job.organisation_id)
    assert event.payload == {
        "submission_id": str(job.submission_id),
        "code": "truncated",
        "reason": "The file ends too early.",
    }


def test_a_lost_lease_lets_no_failure_be_told() -> None:
    (job,) = claimed()
    lose(job)
    scoring.fail(job, code="truncated", reason="The file ends too early.")
    assert written() == NOTHING


def test_the_last_attempt_fails_the_job_and_those_before_do_not(settings: Any) -> None:
    settings.KILINDA_MAX_ATTEMPTS = 2
    for state in ("queued", "failed"):
        AnalysisJob.objects.update(run_after=Now())
        job = (queue.claim(lane=Lane.SCREEN, limit=1, owner="worker") or claimed())[0]
        scoring.retry(job, code="detector_error", reason="A detector failed.")
        assert AnalysisJob.objects.get().state == state
    assert [event.type for event in Event.objects.all()] == ["analysis.failed"]


def test_a_suspect_is_claimed_by_its_own_claimer_and_alone() -> None:
    for job in claimed(2):
        AnalysisJob.objects.filter(id=job.id).update(lease_until=Now() - timedelta(seconds=1))
    queue.sweep()
    JobFactory()
    healthy = scoring.healthy_claimer(Lane.SCREEN, "worker")
    suspect = scoring.suspect_claimer(Lane.SCREEN, "worker")
    assert [job.attempt for job in healthy()] == [1]
    assert [job.attempt for job in suspect()] == [2]
    assert list(suspect()) == []  # once: the next one needs a drain of its own


def test_claiming_ends_with_the_time_or_with_the_wish_to_stop() -> None:
    stopping = threading.Event()
    assert scoring.until(60, stopping.is_set)()
    assert not scoring.until(0, stopping.is_set)()
    stopping.set()
    assert not scoring.until(60, stopping.is_set)()


# --- Through the runtime --------------------------------------------------------------------------


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(registry(WordCounter()), decoder=None)
    yield made
    end(made)


def drain(runtime: Runtime, claimer: scoring.Claimer) -> int:
    source = scoring.QueueSource(claimer, may_claim=lambda: True)
    return runtime.drain(source)


def texts(*words: str) -> Sequence[AnalysisJob]:
    return [JobFactory(submission__text=text) for text in words]


@pytest.mark.django_db(transaction=True)
def test_queued_texts_become_results_with_the_scores_of_the_detector(runtime: Runtime) -> None:
    good, bad = texts("a fine day", "bad bad bad bad")
    healthy = scoring.healthy_claimer(Lane.SCREEN, "worker")
    assert drain(runtime, healthy) == 2
    assert set(AnalysisJob.objects.values_list("state", flat=True)) == {"done"}
    assert AnalysisResult.objects.get(job=bad).risk_level == "critical"
    assert AnalysisResult.objects.get(job=good).risk_level == "low"
    assert written() == {"AnalysisResult": 2, "DetectorScore": 2, "Event": 2, "ReviewItem": 1}


@pytest.mark.django_db(transaction=True)
def test_a_text_that_breaks_the_detector_is_queued_again_and_others_are_done(
    runtime: Runtime,
) -> None:
    poison, *others = texts("poison", *(f"text {number}" for number in range(9)))
    healthy = scoring.healthy_claimer(Lane.SCREEN, "worker")
    drain(runtime, healthy)
    row = AnalysisJob.objects.get(id=poison.id)
    assert (row.state, row.attempt, row.crash_count) == ("queued", 1, 0)
    assert AnalysisResult.objects.count() == len(others)


@pytest.mark.django_db(transaction=True)
def test_a_lease_is_kept_while_the_work_takes_longer_than_it(settings: Any) -> None:
    settings.KILINDA_LEASE_SECONDS = 1
    (job,) = claimed()
    first = AnalysisJob.objects.get().lease_until
    assert first is not None

    def is_renewed() -> bool:
        row = AnalysisJob.objects.get()
        return bool(row.lease_until and row.lease_until > first + timedelta(seconds=1))

    pause = threading.Event()
    with scoring.kept_leases("worker"):
        for _ in range(200):
            if is_renewed():
                break
            pause.wait(0.05)
    assert is_renewed()
    assert queue.finish([job]) == {job.id}
