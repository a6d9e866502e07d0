from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from kilinda.stack.processes import problem


@contextmanager
def answering(status: int, failed: list[str]) -> Iterator[str]:
    """Serve one health page on loopback."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"failed": failed}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_without_failures_is_no_problem() -> None:
    with answering(200, []) as url:
        assert problem(url) == ""


def test_a_worker_that_still_loads_is_a_problem_though_the_page_answers_200() -> None:
    with answering(200, ["workers"]) as url:
        assert problem(url).endswith("failing workers")


def test_a_failing_page_names_its_checks() -> None:
    with answering(503, ["database", "broker"]) as url:
        assert "503: failing database, broker" in problem(url)


def test_nobody_listening_is_a_problem() -> None:
    with answering(200, []) as url:
        pass
    assert problem(url).endswith("does not answer")
