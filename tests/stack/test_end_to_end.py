"""The whole platform as `make run` starts it: content in, a person decides, verdict out.

Real processes and the bundled models; nothing is looked at that a partner or reviewer cannot see,
but for the id of the review item.
"""

from __future__ import annotations

import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kilinda.demo.content import SAMPLES
from tests.factories import picture_bytes
from tests.stack import invariants
from tests.stack.harness import Stack, family, is_alive, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

INSULT = "You are a disgusting liar and a worthless idiot. Shut up, you stupid piece of garbage."
NOTICE = "Polling stations open at six in the morning on Tuesday. Bring your identity card."

RESULT_FIELDS = {
    "overall_confidence",
    "risk_level",
    "audio_score",
    "visual_score",
    "text_score",
    "findings",
    "metadata",
    "review",
    "verdict",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("whole") / "home"
    stack = Stack(home, puppets=False, KILINDA_FETCH_ALLOW="127.0.0.0/8", KILINDA_UNDO_SECONDS="1")
    try:
        yield stack.ready()
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """A page in the open web of these tests; return its URL."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<html><title>News</title><body><p>{INSULT}</p></body></html>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/news"
        server.shutdown()
        thread.join()


def upload(stack: Stack, name: str, content: bytes) -> str:
    """Send a file as a form, as curl -F does; return the submission's id."""
    head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--edge--\r\n"
    answer = stack.call("/api/v1/submissions", body, mime="multipart/form-data; boundary=edge")
    assert answer.status == 202, answer
    return str(answer.body["id"])


def test_a_text_is_judged_and_every_field_is_there(stack: Stack) -> None:
    bad = stack.finished(stack.submit(INSULT, language="en", metadata={"desk": "county"}))
    good = stack.finished(stack.submit(NOTICE, language="en"))
    assert (bad["status"], bad["content_type"], bad["metadata"]) == (
        "done",
        "text",
        {"desk": "county"},
    )
    assert set(bad["result"]) >= RESULT_FIELDS
    assert (bad["result"]["audio_score"], bad["result"]["visual_score"]) == (None, None)
    assert bad["result"]["text_score"] > good["result"]["text_score"]
    assert bad["result"]["overall_confidence"] == bad["result"]["text_score"]
    assert bad["result"]["metadata"]["models"]


@pytest.mark.parametrize(
    ("sample", "content_type", "scores"),
    [
        ("computer-voice-sw.ogg", "audio", {"audio_score"}),
        ("landscape.jpg", "image", {"visual_score"}),
        ("pan.mp4", "video", {"visual_score", "audio_score"}),
    ],
)
def test_media_are_decoded_and_judged(
    stack: Stack, sample: str, content_type: str, scores: set[str]
) -> None:
    read = stack.finished(upload(stack, sample, (SAMPLES / sample).read_bytes()))
    assert (read["status"], read["content_type"]) == ("done", content_type)
    result = read["result"]
    unscored = {name for name in scores if result[name] is None}
    explained = {f"{finding['kind']}_score" for finding in result["findings"]}
    assert unscored <= explained, "a score that is missing needs a finding that says why"
    assert result["text_score"] is None


def test_what_is_behind_a_url_is_fetched_and_judged(stack: Stack, website: str) -> None:
    answer = stack.call("/api/v1/submissions", {"url": website})
    read = stack.finished(answer.body["id"])
    assert (read["status"], read["content_type"], read["url"]) == ("done", "text", website)
    assert read["result"]["text_score"] is not None


def test_each_item_of_a_batch_reaches_its_own_end(stack: Stack) -> None:
    batch = stack.submit_batch([NOTICE, INSULT, "Habari ya asubuhi, karibuni sana nyumbani kwetu."])
    assert [stack.finished(each)["status"] for each in batch] == ["done"] * 3


def test_a_chat_event_is_taken_in_and_its_status_can_be_read(stack: Stack) -> None:
    answer = stack.call("/v1/events/ingest", CHAT_EVENT)
    assert (answer.status, answer.body["status"]) == (202, "queued")
    assert re.fullmatch(r"evt_[0-9a-f]{32}", answer.body["event_id"])
    assert answer.body["processing_url"] == f"/v1/events/{answer.body['event_id']}/status"

    def done() -> Any:
        read = stack.call(answer.body["processing_url"]).body
        return read if read["status"] == "done" else None

    read = wait_until(done, what="the chat event is judged")
    assert read["result"]["risk_level"] in {"low", "medium", "high", "critical"}


CHAT_EVENT = {
    "event_type": "message_created",
    "platform": "discord",
    "channel_id": "ch123",
    "user_id": "user_target",
    "author_id": "user_harasser",
    "content": "You are a terrible person",
    "metadata": {"timestamp": "2026-01-22T10:30:45Z", "author_reputation": 0.1},
}


def test_a_file_nobody_can_decode_fails_with_a_reason_and_disturbs_no_other(stack: Stack) -> None:
    broken = upload(stack, "broken.png", picture_bytes()[:60])
    whole = upload(stack, "whole.png", picture_bytes(width=320, height=240))
    read = stack.finished(broken)
    assert (read["status"], read["result"]) == ("failed", None)
    assert read["failure"]["code"]
    assert re.fullmatch(r"[A-Z].{15,}\.", read["failure"]["reason"])
    assert "Error" not in read["failure"]["reason"]
    assert stack.finished(whole)["status"] == "done"
    assert stack.job(broken)["crash_count"] == 0


class Reviewer:
    """A person with a browser: cookies and forms."""

    def __init__(self, stack: Stack) -> None:
        self.base, self.jar = f"http://127.0.0.1:{stack.port}", CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.get("/login/")
        self.post("/login/", **stack.people["reviewer"])

    def get(self, path: str) -> str:
        with self.browser.open(self.base + path, timeout=30) as page:
            return str(page.read().decode())

    def post(self, path: str, **fields: str) -> None:
        token = next(cookie.value for cookie in self.jar if cookie.name == "csrftoken")
        form = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token})
        with self.browser.open(self.base + path, form.encode(), timeout=30) as page:
            assert page.status == 200


def test_a_person_decides_and_the_partner_reads_the_verdict(stack: Stack) -> None:
    submission = stack.submit("Wewe ni mjinga na mpumbavu kabisa! " + INSULT, priority="urgent")
    assert stack.finished(submission)["result"]["review"] == "pending"
    item = item_of(stack, submission)
    reviewer = Reviewer(stack)
    assert str(item["id"]) in reviewer.get("/review/")
    reviewer.post(f"/review/items/{item['id']}/claim")
    lease = str(item_of(stack, submission)["lease_token"])
    reviewer.post(f"/review/items/{item['id']}/decide", lease_token=lease, verdict="abusive")
    verdict = wait_until(
        lambda: stack.read(submission)["result"]["verdict"], what="the verdict is final"
    )
    assert (verdict["decision"], verdict["final"]) == ("abusive", True)
    told = [event for event in stack.events() if event["subject_id"] == submission]
    assert [event["type"] for event in told] == [
        "submission.received",
        "analysis.completed",
        "verdict.issued",
    ]
    assert told[-1]["payload"]["verdict"] == "abusive"
    assert invariants.gaps(stack) == []


def item_of(stack: Stack, submission: str) -> dict[str, Any]:
    (row,) = stack.rows(
        "SELECT item.* FROM hitl_queue item JOIN analysis_jobs job ON job.id = item.job_id"
        " WHERE submission_id = %s",
        submission,
    )
    return row


def test_ctrl_c_ends_everything_it_started(stack: Stack) -> None:
    stack.manage("verify_audit")
    everyone = family(stack.process.pid)
    assert len(everyone) >= 10  # the supervisor, its guardian, two servers and five processes
    assert stack.stop() == 0
    assert [pid for pid in everyone if is_alive(pid)] == []
    assert not Path(stack.home / "stack.json").exists()
