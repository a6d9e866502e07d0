"""Reading submissions, events and oneself."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.signing import dumps

from detection import results
from detection.models import AnalysisJob, Submission
from kilinda.audit.models import AuditEntry
from kilinda.partners import events
from tests import factories
from tests.detection.api.conftest import Partner

LIST = "/api/v1/submissions"


def test_a_queued_submission_has_no_result(partner):
    path = partner.submit({"text": "x", "metadata": {"a": [1]}}).json()["status_url"]
    body = partner.get(path).json()
    assert body["status"] == "queued"
    assert (body["result"], body["failure"]) == (None, None)
    assert body["metadata"] == {"a": [1]}


def test_a_finished_submission_shows_scores_as_numbers_and_no_open_verdict(partner):
    result = factories.ResultFactory(job__submission__organisation=partner.organisation)
    body = partner.get(f"{LIST}/{result.job.submission_id}").json()
    assert body["status"] == "done"
    shown = body["result"]
    assert shown["text_score"] == float(result.text_score)
    assert (shown["audio_score"], shown["visual_score"]) == (None, None)
    assert shown["risk_level"] == result.risk_level
    assert (shown["review"], shown["verdict"]) == ("none", None)


def test_each_score_says_how_reliable_it_was_measured_to_be(partner):
    sure = {"grade": "fair", "groups": ["language:en"], "auc": 0.77, "low": 0.73, "high": 0.8}
    result = factories.ResultFactory(
        job__submission__organisation=partner.organisation,
        reliability={"text": {**sure, "n": 1500}},
    )
    shown = partner.get(f"{LIST}/{result.job.submission_id}").json()["result"]
    assert shown["reliability"] == {"audio": None, "visual": None, "text": {**sure, "n": 1500}}


def test_a_verdict_is_shown_once_it_is_final_and_announced_once(partner):
    result = factories.ResultFactory(job__submission__organisation=partner.organisation)
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    results.review_opened([result.pk])
    path = f"{LIST}/{result.job.submission_id}"
    assert partner.get(path).json()["result"]["review"] == "pending"

    for _ in range(2):
        results.record_verdict(result=result, verdict="abusive", decided_at=at)
    shown = partner.get(path).json()["result"]
    assert shown["verdict"] == {
        "decision": "abusive",
        "final": True,
        "decided_at": "2026-05-01T12:00:00Z",
    }
    assert shown["review"] == "done"
    results.record_verdict(result=result, verdict="satire", decided_at=at + timedelta(1))

    log = [
        event.payload
        for event in events.read(partner.organisation.id, after_seq=0, limit=100)
        if event.type == "verdict.issued"
    ]
    submission = str(result.job.submission_id)
    assert log == [
        {"submission_id": submission, "verdict": "abusive"},
        {"submission_id": submission, "verdict": "satire", "previous": "abusive"},
    ]
    assert AuditEntry.objects.filter(action="verdict.issued").count() == 2


@pytest.mark.parametrize("state", ["failed", "dead"])
def test_a_broken_job_is_failed_with_a_reason(partner, state):
    job = factories.JobFactory(submission__organisation=partner.organisation)
    AnalysisJob.objects.filter(id=job.id).update(
        state=state, failure_code="undecodable", failure_reason="The file ends too early."
    )
    body = partner.get(f"{LIST}/{job.submission_id}").json()
    assert body["status"] == "failed"
    assert body["failure"] == {"code": "undecodable", "reason": "The file ends too early."}


def test_anothers_submission_and_a_missing_one_give_the_same_bytes(partner):
    foreign = Partner().submit({"text": "secret"}).json()["id"]
    missing = "019a0000-0000-7000-8000-000000000000"
    answers = [
        partner.get(f"{LIST}/{each}", headers={"X-Request-ID": "same"})
        for each in (foreign, missing)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


# --- Lists ---------------------------------------------------------------------------------------


def test_pages_hold_every_submission_once_newest_first(partner):
    ids = [partner.submit({"text": f"{n}"}).json()["id"] for n in range(7)]
    Partner().submit({"text": "not mine"})
    seen, cursor = [], ""
    while cursor is not None:
        asked = {"page_size": 3} | ({"cursor": cursor} if cursor else {})
        body = partner.get(LIST, query_params=asked).json()
        seen += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
        assert len(body["items"]) <= 3
    assert sorted(seen) == sorted(ids)
    assert seen == sorted(seen, reverse=True)


def test_filters_narrow_the_list(partner):
    own = {"job__submission__organisation": partner.organisation}
    done = factories.ResultFactory(**own)
    partner.submit({"text": "waiting"})
    partner.submit({"url": "https://example.org/"})

    def found(**filters):
        return [item["id"] for item in partner.get(LIST, query_params=filters).json()["items"]]

    assert found(status="done") == [str(done.job.submission_id)]
    assert found(risk_level=done.risk_level) == [str(done.job.submission_id)]
    assert len(found(status="queued")) == 2
    assert len(found(content_type="url")) == 1
    assert found(created_after="2200-01-01T00:00:00Z") == []
    assert len(found(created_before="2200-01-01T00:00:00Z")) == 3


def test_a_huge_page_size_is_clamped(partner):
    factories.SubmissionFactory.create_batch(3, organisation=partner.organisation)
    for submission in Submission.objects.all():
        factories.JobFactory(submission=submission)
    answer = partner.get(LIST, query_params={"page_size": 10**9})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cursor", "abc"),
        pytest.param(
            "cursor", dumps("0" * 32, salt="another purpose"), id="cursor-of-another-purpose"
        ),
        ("status", "sleeping"),
        ("risk_level", "\0"),
        ("created_after", "10000-01-01T00:00:00Z"),
        ("created_after", "0001-01-01T00:00:00+14:00"),
        ("page_size", "abc"),
        ("page_size", "0"),
        ("page_size", str(10**30)),
        ("partner", "1"),
    ],
)
def test_a_bad_parameter_is_named(partner, name, value):
    answer = partner.get(LIST, query_params={name: value})
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [name]


# --- Events --------------------------------------------------------------------------------------


def test_events_are_numbered_without_gaps_and_read_on(partner):
    for n in range(5):
        partner.submit({"text": f"{n}"})
    first = partner.get("/api/v1/events", query_params={"limit": 3}).json()
    assert [event["seq"] for event in first["items"]] == [1, 2, 3]
    assert (first["next_after_seq"], first["has_more"]) == (3, True)
    rest = partner.get("/api/v1/events", query_params={"after_seq": 3}).json()
    assert [event["seq"] for event in rest["items"]] == [4, 5]
    assert (rest["next_after_seq"], rest["has_more"]) == (5, False)
    end = partner.get("/api/v1/events", query_params={"after_seq": 5}).json()
    assert (end["items"], end["next_after_seq"]) == ([], 5)


@pytest.mark.parametrize("value", ["\0", "abc", str(10**30), "-1"])
def test_a_bad_sequence_number_is_refused(partner, value):
    assert partner.get("/api/v1/events", query_params={"after_seq": value}).status_code == 400


# --- Chat events ---------------------------------------------------------------------------------

MESSAGE = {
    "event_type": "message_created",
    "platform": "discord",
    "channel_id": "ch123",
    "user_id": "user_target",
    "author_id": "user_harasser",
    "content": "You are a terrible person",
    "metadata": {"timestamp": "2026-01-22T10:30:45Z", "user_reputation": 0.5},
}


def test_a_chat_message_is_taken_and_its_status_read(partner):
    answer = partner.post("/v1/events/ingest", MESSAGE)
    assert answer.status_code == 202
    body = answer.json()
    submission = Submission.objects.get()
    named = f"evt_{submission.id.hex}"
    assert body == {
        "event_id": named,
        "status": "queued",
        "processing_url": f"/v1/events/{named}/status",
    }
    assert (submission.source, submission.text) == ("event", MESSAGE["content"])
    kept = {name: MESSAGE[name] for name in MESSAGE if name != "content"}
    assert submission.metadata == kept
    status = partner.get(body["processing_url"]).json()
    assert (status["event_id"], status["status"], status["result"]) == (named, "queued", None)
    assert Partner().get(body["processing_url"]).status_code == 404


def test_another_type_of_event_is_refused_naming_the_accepted_ones(partner):
    answer = partner.post("/v1/events/ingest", MESSAGE | {"event_type": "message_deleted"})
    assert answer.status_code == 422
    assert "message_created" in answer.json()["detail"]


def test_a_chat_message_needs_content(partner):
    without = {name: value for name, value in MESSAGE.items() if name != "content"}
    answer = partner.post("/v1/events/ingest", without)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "content")
    assert partner.post("/v1/events/ingest", MESSAGE | {"content": " "}).status_code == 422


# --- Oneself -------------------------------------------------------------------------------------


def test_me_says_whose_key_it_is_and_nothing_secret(partner):
    answer = partner.get("/api/v1/me")
    assert answer.json()["organisation"]["id"] == str(partner.organisation.id)
    assert partner.secret not in answer.content.decode()
