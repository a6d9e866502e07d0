"""Fetching from a real HTTP server on this machine, hostile and not."""

import contextlib
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage

from detection import queue
from detection.arrivals import attach_fetched
from detection.errors import FetchError, FetchFailed, FetchRefused
from detection.fetching import fetch
from detection.models import AnalysisJob, Submission
from tests import factories

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """Answers at 127.0.0.1; each path by one function."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str]] = []
        self.stop = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append((self.path, self.headers["Host"]))
                with contextlib.suppress(ConnectionError):
                    site.answers[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def says(
        self, path: str, body: bytes, kind: str = "", status: int = 200, **headers: str
    ) -> str:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content-Type": kind, **headers}.items():
                request.send_header(name.replace("_", "-"), value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        self.answers[path] = answer
        return self.url(path)

    def redirects(self, path: str, to: str) -> str:
        return self.says(path, b"", status=302, Location=to)


@pytest.fixture
def site(settings) -> Iterator[Site]:
    settings.KILINDA_FETCH_ALLOW = ["127.0.0.0/8"]
    made = Site()
    yield made
    made.stop.set()
    made.server.shutdown()
    made.server.server_close()


def left_over() -> list[str]:
    """Temporary files nobody closed."""
    return default_storage.listdir("incoming")[1] if default_storage.exists("incoming") else []


def refused(url: str, **options) -> FetchError:
    with pytest.raises(FetchError) as refusal:
        fetch(url, **options)
    assert left_over() == []
    return refusal.value


def test_a_picture_is_fetched_with_its_path_of_redirects(site):
    last = site.says("/a.png", factories.picture_bytes(), "image/png")
    middle = site.redirects("/two", "/a.png")
    first = site.redirects("/one", middle)
    with fetch(first).body as body:
        assert body.read() == factories.picture_bytes()
    with (fetched := fetch(first)).body:
        assert (fetched.final_url, fetched.redirects) == (last, (first, middle))
        assert (fetched.content_type, fetched.address) == ("image/png", "127.0.0.1")


def test_the_host_header_names_the_host_and_the_connection_goes_to_the_checked_address(site):
    site.says("/", b"Habari", "text/plain")
    asked = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with fetch(site.url("/", "news.example.org"), resolver=resolver).body as body:
        assert body.read() == b"Habari"
    assert site.requests == [("/", f"news.example.org:{site.port}")]
    assert asked == ["news.example.org"]  # once: a second answer could lead elsewhere


def test_a_name_that_leads_to_a_private_address_is_refused(settings):
    settings.KILINDA_FETCH_ALLOW = []
    error = refused("http://news.example.org/", resolver=lambda *_: ["127.0.0.1"])
    assert (type(error), error.code) == (FetchRefused, "url_not_allowed")


@pytest.mark.parametrize("found", [["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1"]])
def test_mixed_and_disguised_answers_of_a_name_server_are_refused(found):
    error = refused("http://news.example.org/", resolver=lambda *_: found)
    assert error.code == "url_not_allowed"


def test_a_name_that_changes_its_address_between_redirects_is_refused(site):
    site.redirects("/", "/again")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    error = refused(site.url("/", "news.example.org"), resolver=lambda *_: next(answers))
    assert error.code == "url_not_allowed"
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "to",
    ["http://10.0.0.1/", "http://169.254.169.254/", "ftp://example.org/", "file:///etc/passwd"],
)
def test_a_redirect_to_where_we_may_not_go_is_refused(site, to):
    assert refused(site.redirects("/", to)).code == "url_not_allowed"


def test_a_redirect_loop_ends(site):
    assert refused(site.redirects("/", "/")).code == "too_many_redirects"
    assert len(site.requests) == 4


def test_a_redirect_without_a_place_is_refused(site):
    assert refused(site.says("/", b"", status=301)).code == "bad_redirect"


@pytest.mark.parametrize(("status", "kind"), [(404, FetchRefused), (503, FetchFailed)])
def test_a_status_says_whether_trying_again_helps(site, status, kind):
    error = refused(site.says("/", b"no", status=status))
    assert (type(error), error.code) == (kind, "fetch_status")
    assert str(status) in error.reason


def test_a_host_that_does_not_answer_may_be_tried_again(site):
    site.server.server_close()
    assert type(refused(site.url("/"))) is FetchFailed


@pytest.mark.parametrize("packed", [gzip.compress, zlib.compress])
def test_a_packed_body_is_unpacked(site, packed):
    coding = "gzip" if packed is gzip.compress else "deflate"
    url = site.says("/", packed(b"Habari " * 1000), "text/plain", Content_Encoding=coding)
    with fetch(url).body as body:
        assert body.read() == b"Habari " * 1000


def test_a_gzip_bomb_ends_at_the_limit(site, settings):
    settings.KILINDA_MAX_UPLOAD_BYTES = 1_000_000
    bomb = gzip.compress(bytes(50_000_000))
    error = refused(site.says("/", bomb, Content_Encoding="gzip"))
    assert (type(error), error.code) == (FetchRefused, "too_large")
    assert "1000000" in error.reason


@pytest.mark.parametrize(
    "body",
    [b"not gzip at all", gzip.compress(b"x" * 1000, mtime=0)[:-9]],
    ids=["plain", "cut short"],
)
def test_a_body_that_is_not_packed_as_said_fails(site, body):
    assert type(refused(site.says("/", body, Content_Encoding="gzip"))) is FetchFailed


def test_an_endless_body_ends_at_the_limit(site, settings):
    settings.KILINDA_MAX_UPLOAD_BYTES = 500_000

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not site.stop.is_set():
            request.wfile.write(bytes(65_536))

    site.answers["/"] = endless
    assert refused(site.url("/")).code == "too_large"


@pytest.mark.parametrize("slow_part", ["headers", "body"])
def test_a_byte_now_and_then_ends_at_the_deadline(site, slow_part):
    def trickle(request: BaseHTTPRequestHandler) -> None:
        if slow_part == "body":
            request.send_response(200)
            request.end_headers()
        else:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not site.stop.wait(0.05):
            request.wfile.write(b"x")
            request.wfile.flush()

    site.answers["/"] = trickle
    began = time.monotonic()
    error = refused(site.url("/"), max_seconds=0.5)
    assert (type(error), error.code) == (FetchFailed, "fetch_timeout")
    assert time.monotonic() - began < 3


# --- What becomes of it --------------------------------------------------------------------------


def claimed(url: str) -> queue.ClaimedJob:
    """A URL's job, leased as the worker leases it."""
    submission = factories.SubmissionFactory(web=True, url=url, metadata={"mine": 1})
    factories.JobFactory(submission=submission)
    return queue.claim(lane="fetch", limit=1, owner="test")[0]


def after(job: queue.ClaimedJob) -> tuple[Submission, AnalysisJob]:
    submission = Submission.objects.get(id=job.submission_id)
    return submission, submission.job


PAGE = """<!doctype html><html><head><title>Rumour about the vote</title></head><body>
<nav>Home News Sport</nav><article><h1>Rumour about the vote</h1><p>{}</p></article>
<footer>All rights reserved</footer></body></html>""".format(
    "The commission has not announced any result, despite what a message claims. " * 8
)


def test_a_page_becomes_its_main_text(db, site):
    job = claimed(site.says("/", PAGE.encode(), "text/html"))
    assert attach_fetched(job, fetch(job.url)) is True
    submission, row = after(job)
    assert (submission.content_type, row.lane, row.state) == ("text", "screen", "queued")
    assert "The commission has not announced" in submission.text
    assert "All rights reserved" not in submission.text
    assert submission.fetched["title"] == "Rumour about the vote"
    assert submission.metadata == {"mine": 1}
    assert row.lease_token is None


def test_a_picture_becomes_media(db, site):
    job = claimed(site.says("/", factories.picture_bytes(), "image/png"))
    attach_fetched(job, fetch(job.url))
    submission, row = after(job)
    assert (submission.content_type, row.lane, row.state) == ("image", "media", "queued")
    assert default_storage.exists(submission.media.storage_name)
    assert left_over() == []


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"%PDF-1.7\n", "application/pdf", "unsupported_content"),
        (b"", "image/png", "empty_content"),
        (b"<!doctype html><html><body></body></html>", "text/html", "no_text"),
        (b"<html>" + b"x" * 5_000_001, "text/html", "too_large"),
    ],
)
def test_what_nobody_can_judge_is_refused(db, site, body, kind, code):
    job = claimed(site.says("/", body, kind))
    with pytest.raises(FetchRefused) as refusal:
        attach_fetched(job, fetch(job.url))
    assert refusal.value.code == code
    submission, row = after(job)
    assert (submission.content_type, row.state) == ("url", "running")


def test_a_worker_that_lost_its_lease_changes_nothing(db, site):
    job = claimed(site.says("/", b"Habari", "text/plain"))
    fetched = fetch(job.url)
    AnalysisJob.objects.filter(id=job.id).update(lease_token=uuid4())
    assert attach_fetched(job, fetched) is False
    assert after(job)[0].content_type == "url"
