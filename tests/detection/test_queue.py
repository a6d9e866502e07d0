from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from detection import queue
from detection.models import AnalysisJob, Priority
from detection.queue import ClaimedJob
from tests.factories import JobFactory

State = AnalysisJob.State
Lane = AnalysisJob.Lane

pytestmark = pytest.mark.django_db


def claim(limit: int = 10, owner: str = "worker") -> list[ClaimedJob]:
    return queue.claim(lane=Lane.SCREEN, limit=limit, owner=owner)


def state_of(job_id: UUID) -> str:
    return AnalysisJob.objects.get(id=job_id).state


def expire(*jobs: ClaimedJob) -> None:
    AnalysisJob.objects.filter(id__in=[job.id for job in jobs]).update(
        lease_until=Now() - timedelta(seconds=1)
    )


def test_a_claim_takes_the_most_urgent_and_then_the_oldest() -> None:
    old, new = JobFactory(), JobFactory()
    urgent = JobFactory(priority=Priority.URGENT)
    assert [job.id for job in sorted(claim(2), key=lambda job: job.priority)] == [urgent.id, old.id]
    assert [job.id for job in claim()] == [new.id]


def test_a_claim_brings_everything_a_worker_needs() -> None:
    job = JobFactory(submission__text="habari", submission__language="sw")
    (claimed,) = claim()
    assert (claimed.text, claimed.language, claimed.attempt) == ("habari", "sw", 1)
    assert claimed.organisation_id == job.submission.organisation_id
    row = AnalysisJob.objects.get(id=job.id)
    assert (row.state, row.lease_token, row.lease_owner) == (
        "running",
        claimed.lease_token,
        "worker",
    )


def test_a_lane_gives_only_its_own_jobs() -> None:
    JobFactory(submission__image=True)
    assert claim() == []


def test_a_job_is_not_claimed_before_its_time() -> None:
    JobFactory(run_after=Now() + timedelta(minutes=1))
    assert claim() == []


def test_finishing_needs_the_lease_that_was_given() -> None:
    JobFactory()
    (late,) = claim()
    expire(late)
    queue.sweep()
    (again,) = queue.claim_suspect(lane=Lane.SCREEN, owner="other")
    assert queue.finish([late]) == set()
    assert state_of(late.id) == State.RUNNING
    assert queue.finish([again]) == {again.id}
    assert queue.finish([again]) == set()


def test_one_late_job_does_not_hold_up_the_others_of_its_batch() -> None:
    JobFactory.create_batch(3)
    jobs = claim()
    expire(jobs[0])
    queue.sweep()
    assert queue.finish(jobs) == {jobs[1].id, jobs[2].id}


def test_a_failed_job_keeps_its_reason() -> None:
    JobFactory()
    (job,) = claim()
    assert queue.fail(job, code="truncated", reason="The file ends too early.")
    row = AnalysisJob.objects.get(id=job.id)
    assert (row.state, row.failure_code, row.failure_reason) == (
        "failed",
        "truncated",
        "The file ends too early.",
    )
    assert row.finished_at is not None


def test_a_retry_waits_longer_each_time() -> None:
    job = JobFactory()
    pauses = []
    for _ in range(3):
        AnalysisJob.objects.update(run_after=Now())
        (claimed,) = claim()
        queue.retry_later(claimed)
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM run_after - now()) FROM analysis_jobs")
            pauses.append(float(cursor.fetchone()[0]))
    assert 1 <= pauses[0] < 3.01
    assert 4 <= pauses[2] < 12.01
    assert AnalysisJob.objects.get(id=job.id).crash_count == 0


def test_a_lost_worker_s_job_is_run_again_alone() -> None:
    JobFactory.create_batch(3)
    jobs = claim()
    expire(*jobs)
    swept = queue.sweep()
    assert (swept.requeued, swept.dead, swept.lanes) == (3, 0, {"screen"})
    JobFactory()
    assert len(claim()) == 1  # the healthy newcomer, without the suspects
    assert len(queue.claim_suspect(lane=Lane.SCREEN, owner="w")) == 1


def test_a_job_that_keeps_killing_its_worker_is_given_up(settings: object) -> None:
    job = JobFactory()
    for crash in range(4):
        taken = claim() if crash == 0 else queue.claim_suspect(lane=Lane.SCREEN, owner="w")
        expire(*taken)
        queue.sweep()
    row = AnalysisJob.objects.get(id=job.id)
    assert (row.state, row.crash_count, row.failure_code) == ("dead", 4, "worker_lost")
    assert "4 times" in row.failure_reason


def test_a_lease_that_is_renewed_is_not_swept() -> None:
    JobFactory()
    (job,) = claim(owner="mine")
    before = AnalysisJob.objects.get(id=job.id).lease_until
    AnalysisJob.objects.update(lease_until=Now() + timedelta(seconds=1))
    assert queue.renew("mine") == 1
    assert queue.renew("other") == 0
    after = AnalysisJob.objects.get(id=job.id).lease_until
    assert before is not None
    assert after is not None
    assert after >= before
    assert queue.sweep().requeued == 0


def test_the_sweep_names_lanes_whose_doorbell_was_lost() -> None:
    JobFactory(run_after=Now() - timedelta(seconds=11))
    JobFactory(submission__image=True)  # fresh: its doorbell is under way
    assert queue.sweep().lanes == {"screen"}


def test_reviving_gives_broken_jobs_a_fresh_start_and_leaves_others_alone() -> None:
    broken, waiting = JobFactory(), JobFactory()
    AnalysisJob.objects.filter(id=broken.id).update(
        state="dead", crash_count=4, attempt=5, failure_code="worker_lost"
    )
    assert queue.revive([broken.id, waiting.id], "user:1") == 1
    row = AnalysisJob.objects.get(id=broken.id)
    assert (row.state, row.crash_count, row.attempt, row.failure_code) == ("queued", 0, 0, "")


def test_the_database_refuses_a_running_job_without_a_lease() -> None:
    job = JobFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        AnalysisJob.objects.filter(id=job.id).update(state="running")


def in_threads(work: Callable[[int], None], count: int) -> None:
    def run(number: int) -> None:
        try:
            work(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@pytest.mark.django_db(transaction=True)
def test_no_job_goes_to_two_workers_and_none_is_left() -> None:
    JobFactory.create_batch(200)
    taken: list[UUID] = []

    def work(number: int) -> None:
        while jobs := claim(7, f"worker {number}"):
            taken.extend(queue.finish(jobs))

    in_threads(work, 8)
    assert len(taken) == len(set(taken)) == 200
    assert set(AnalysisJob.objects.values_list("state", flat=True)) == {"done"}


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_count_one_crash() -> None:
    JobFactory.create_batch(50)
    jobs = claim(50)
    expire(*jobs)
    in_threads(lambda _: queue.sweep() and None, 4)
    assert set(AnalysisJob.objects.values_list("crash_count", flat=True)) == {1}
