import os
import subprocess
import sys

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from prometheus_client.parser import text_string_to_metric_families

from detection.models import AnalysisJob, Priority
from kilinda import metrics
from review.models import ReviewItem, Verdict
from tests.factories import ItemFactory, JobFactory

pytestmark = pytest.mark.django_db


def samples(client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Scrape; return each sample's value by its name and its values in order of label."""
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "fd00::1"])
def test_private_addresses_see_the_metrics(client, address):
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", ""])
def test_others_find_no_such_page_whatever_they_claim(client, address):
    response = client.get("/metrics", REMOTE_ADDR=address, headers={"X-Forwarded-For": "127.0.0.1"})
    assert response.status_code == 404


def test_requests_are_counted_by_pattern_method_and_status(client):
    name = ("kilinda_requests_total", ("health/live", "GET", "200"))
    before = samples(client).get(name, 0)
    client.get("/health/live")
    assert samples(client)[name] == before + 1


async def test_requests_are_counted_under_asgi_too(async_client):
    counter = metrics.REQUESTS.labels("GET", "health/live", 200)
    before = counter._value.get()
    await async_client.get("/health/live")
    assert counter._value.get() == before + 1


def test_what_a_client_typed_never_becomes_a_label(client):
    client.generic("EVIL", "/no/such/page-7f3a")
    found = [labels for name, labels in samples(client) if name == "kilinda_requests_total"]
    assert ("unmatched", "OTHER", "404") in found
    assert not [labels for labels in found if "7f3a" in str(labels) or "EVIL" in labels]


def test_queue_depth_and_age_are_read_from_the_queue(client):
    JobFactory(priority=Priority.URGENT)
    JobFactory(submission__image=True)
    JobFactory(state=AnalysisJob.State.DEAD, failure_code="crashed", finished_at=Now())
    found = samples(client)
    assert found["kilinda_queue_depth", ("urgent",)] == 1
    assert found["kilinda_queue_depth", ("normal",)] == 1
    assert found["kilinda_queue_depth", ("low",)] == 0
    assert found["kilinda_jobs", ("dead",)] == 1
    assert found["kilinda_oldest_queued_age_seconds", ("media",)] >= 0


def test_review_items_are_counted_by_status(client):
    ItemFactory()
    assert samples(client)["kilinda_review_items", ("open",)] == 1


def test_false_positives_are_measured_by_what_reviewers_decided(client):
    for verdict in (Verdict.AUTHENTIC, Verdict.ABUSIVE, Verdict.ABUSIVE, Verdict.ABUSIVE):
        _decided(verdict)
    _decided(Verdict.INCONCLUSIVE)  # says nothing either way
    assert samples(client)["kilinda_false_positive_rate", ()] == 0.25


def test_without_decisions_there_is_no_false_positive_rate(client):
    ItemFactory()
    assert ("kilinda_false_positive_rate", ()) not in samples(client)


def _decided(verdict: str) -> None:
    ItemFactory(status=ReviewItem.Status.FINAL, expert_decision=verdict, reviewed_at=Now())


def test_a_stuck_database_leaves_the_other_metrics_readable(client):
    facts = connection.settings_dict
    with psycopg.connect(
        host=facts["HOST"],
        port=facts["PORT"],
        user=facts["USER"],
        password=facts["PASSWORD"],
        dbname=facts["NAME"],
    ) as outside:
        outside.execute("LOCK TABLE analysis_jobs IN ACCESS EXCLUSIVE MODE")
        found = samples(client)
        outside.rollback()
    assert found["kilinda_database_readable", ()] == 0
    assert ("kilinda_jobs_dead_total", ()) in found


def test_processes_add_up_on_one_page(tmp_path):
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", f"from kilinda import metrics; {code}"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    run("metrics.JOBS_DEAD.inc(2)")
    run("metrics.JOBS_DEAD.inc(3)")
    page = run(
        "from prometheus_client import generate_latest as latest;"
        "print(latest(metrics._counted_by_processes()).decode())"
    )
    assert "kilinda_jobs_dead_total 5.0" in page
