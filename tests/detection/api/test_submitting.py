"""POST /api/v1/submissions and what it promises."""

import hashlib
import json
import threading

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError, connection
from django.test import Client

from detection import intake
from detection.models import AnalysisJob, Submission
from kilinda.audit.models import AuditEntry
from kilinda.partners import keys
from kilinda.partners.models import Event
from tests.detection.api.conftest import FORM, Partner, form
from tests.factories import picture_bytes, sound_bytes, video_bytes


def test_a_text_is_queued_with_its_job_event_and_audit_entry(partner):
    answer = partner.submit(
        {"text": "Habari?", "language": "sw", "metadata": {"desk": 4}, "priority": "high"}
    )
    assert answer.status_code == 202
    body = answer.json()
    submission = Submission.objects.get(id=body["id"])
    assert body == {
        "id": str(submission.id),
        "job_id": str(submission.job.id),
        "status": "queued",
        "status_url": f"/api/v1/submissions/{submission.id}",
    }
    assert (submission.text, submission.language) == ("Habari?", "sw")
    assert submission.metadata == {"desk": 4}
    assert submission.api_key == partner.api_key
    assert (submission.job.lane, submission.job.state, submission.job.priority) == (
        "screen",
        "queued",
        1,
    )
    event = Event.objects.get(organisation=partner.organisation)
    assert (event.type, event.subject_id) == ("submission.received", submission.id)
    entry = AuditEntry.objects.get(target_id=str(submission.id))
    assert entry.actor == f"key:{partner.api_key.pk}"


@pytest.mark.parametrize(
    ("content", "name", "mime", "kind"),
    [
        (picture_bytes(), "x.png", "image/png", "image"),
        (sound_bytes(), "x.wav", "audio/x-wav", "audio"),
        (video_bytes(), "x.mp4", "video/mp4", "video"),
        (picture_bytes(), "whatever", "application/octet-stream", "image"),
    ],
)
def test_a_file_is_stored_under_its_hash_and_queued_as_media(partner, content, name, mime, kind):
    answer = partner.upload(content, name=name, mime=mime, metadata='{"a": 1}', language="sw")
    assert answer.status_code == 202, answer.content
    submission = Submission.objects.get(id=answer.json()["id"])
    assert submission.media.sha256 == hashlib.sha256(content).hexdigest()
    assert submission.media.size_bytes == len(content)
    assert (submission.content_type, submission.job.lane) == (kind, "media")
    assert submission.metadata == {"a": 1}
    with default_storage.open(submission.media.storage_name) as stored:
        assert stored.read() == content


def test_the_same_file_twice_is_stored_once(partner):
    first, second = partner.upload(picture_bytes()), partner.upload(picture_bytes())
    ids = [first.json()["id"], second.json()["id"]]
    assert ids[0] != ids[1]
    assert len({Submission.objects.get(id=each).media_id for each in ids}) == 1


def test_nothing_is_left_in_the_folder_for_incoming_files(partner):
    partner.upload(picture_bytes())
    partner.upload(b"\x00\x01 neither fish nor fowl")
    assert default_storage.listdir("incoming")[1] == []


def test_an_uploaded_text_file_is_judged_as_text(partner):
    answer = partner.upload(b"Habari za asubuhi", name="note.txt", mime="text/plain")
    submission = Submission.objects.get(id=answer.json()["id"])
    assert (submission.content_type, submission.text) == ("text", "Habari za asubuhi")


def test_a_url_waits_in_the_fetch_lane(partner):
    answer = partner.submit({"url": "https://news.example.org/a?b=c"})
    submission = Submission.objects.get(id=answer.json()["id"])
    assert (submission.content_type, submission.job.lane) == ("url", "fetch")


def test_an_unmeasured_language_is_accepted(partner):
    assert partner.submit({"text": "…", "language": "tlh-Latn"}).status_code == 202


# --- Idempotency ---------------------------------------------------------------------------------


def test_the_same_key_and_request_give_the_same_answer(partner):
    first = partner.submit({"text": "once"}, Idempotency_Key="k1")
    second = partner.submit({"text": "once"}, Idempotency_Key="k1")
    assert (second.status_code, second.content) == (202, first.content)
    assert Submission.objects.count() == 1


def test_the_same_key_with_another_request_is_a_conflict(partner):
    partner.submit({"text": "once"}, Idempotency_Key="k1")
    answer = partner.submit({"text": "twice"}, Idempotency_Key="k1")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


def test_a_repeated_upload_is_known_by_its_bytes_not_its_form(partner):
    first = partner.upload(picture_bytes(), name="a.png", headers={"Idempotency-Key": "k"})
    second = partner.upload(picture_bytes(), name="b.png", headers={"Idempotency-Key": "k"})
    assert first.content == second.content


def test_another_partner_may_use_the_same_key(partner):
    other = Partner()
    first = partner.submit({"text": "once"}, Idempotency_Key="k1")
    second = other.submit({"text": "something else"}, Idempotency_Key="k1")
    assert (first.status_code, second.status_code) == (202, 202)


@pytest.mark.django_db(transaction=True)
def test_concurrent_duplicates_become_one_submission():
    partner = Partner()
    answers: list[bytes] = []
    start = threading.Barrier(8)

    def call() -> None:
        start.wait()
        answers.append(partner.submit({"text": "once"}, Idempotency_Key="race").content)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert (Submission.objects.count(), AnalysisJob.objects.count()) == (1, 1)
    assert Event.objects.filter(type="submission.received").count() == 1


# --- Batches -------------------------------------------------------------------------------------

BATCH = "/api/v1/submissions/batch"
MIXED = [{"text": "one"}, {"text": ""}, {"url": "ftp://x.org"}, {"text": 5}, {"text": "two"}]
CODES = [None, "empty_content", "url_not_allowed", "invalid", None]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_each_item_of_a_batch_has_its_own_outcome(partner, kind):
    lines = b"\n".join(json.dumps(item).encode() for item in MIXED)
    raw = json.dumps(MIXED).encode() if kind == "application/json" else lines
    answer = partner.post(BATCH, raw, kind)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (2, 3)
    assert [item["index"] for item in body["items"]] == [0, 1, 2, 3, 4]
    assert [item.get("problem", {}).get("code") for item in body["items"]] == CODES
    texts = [Submission.objects.get(id=item["id"]).text for item in body["items"] if "id" in item]
    assert texts == ["one", "two"]


def test_a_bad_line_of_a_batch_spoils_no_other(partner):
    raw = b'{"text": "one"}\n{"text": "\\ud800"}\n{oops\n\n{"text": "two"}\n'
    items = partner.post(BATCH, raw, "application/x-ndjson").json()["items"]
    assert [item["status"] for item in items] == ["queued", "refused", "refused", "queued"]


def test_a_repeated_batch_gives_the_same_answer_and_adds_only_what_is_new(partner):
    first = partner.post(BATCH, MIXED, Idempotency_Key="b")
    second = partner.post(BATCH, MIXED, Idempotency_Key="b")
    assert _without_request_ids(second) == _without_request_ids(first)
    changed = [{"text": "another"}, *MIXED[1:], {"text": "three"}]
    third = partner.post(BATCH, changed, Idempotency_Key="b").json()["items"]
    assert third[0]["problem"]["code"] == "idempotency_key_reused"
    assert third[4]["id"] == first.json()["items"][4]["id"]
    assert third[5]["status"] == "queued"
    assert Submission.objects.count() == 3


def _without_request_ids(answer):
    items = answer.json()["items"]
    for item in items:
        item.get("problem", {}).pop("request_id", None)
    return items


def test_a_batch_of_over_a_thousand_is_refused_naming_the_limit(partner):
    answer = partner.post(BATCH, [{"text": "x"}] * 1001)
    assert answer.status_code == 413
    assert "1000" in answer.json()["detail"]


def test_a_batch_of_a_thousand_is_taken(partner, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        answer = partner.post(BATCH, [{"text": f"message {n}"} for n in range(1000)])
    assert answer.json()["accepted"] == 1000


# --- Who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "ks_wrong", "ks_ \xe9"])
def test_without_a_good_key_nothing_is_taken(db, key):
    headers = {"X-API-Key": key} if key else {}
    answer = Client(headers=headers).post(
        "/api/v1/submissions", {"text": "x"}, content_type="application/json"
    )
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"]


def test_a_revoked_key_is_no_key(partner):
    keys.revoke(partner.api_key)
    assert partner.get("/api/v1/me").status_code == 401


def test_a_read_only_key_reads_and_no_more(db):
    reader = Partner(is_read_only=True)
    assert reader.get("/api/v1/me").json()["api_key"]["is_read_only"] is True
    answer = reader.submit({"text": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "read_only_key")


# --- When the servers are away -------------------------------------------------------------------


def test_a_database_that_is_away_is_503_with_retry_after(partner, monkeypatch):
    def away(*_args, **_options):
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr("django.db.backends.utils.CursorWrapper.execute", away)
        answer = partner.submit({"text": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_full_disk_is_503_and_nothing_is_promised(partner, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = partner.submit(form(picture_bytes()), FORM)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert not Submission.objects.exists()


def test_the_bytes_are_on_disk_before_anything_is_written(partner, monkeypatch):
    stored = []

    def write(drafts, _submitter):
        stored.extend(default_storage.exists(draft.media.storage_name) for draft in drafts)
        raise OperationalError("gone")

    monkeypatch.setattr(intake, "_write", write)
    content = picture_bytes(shift=77)
    assert partner.upload(content).status_code == 503
    assert stored == [True]
