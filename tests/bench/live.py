"""The whole stack as it runs: latency of screening, time until a reviewer's page shows an item,
and idle memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from django.db import connection

from detection import doorbell, tasks
from detection.models import AnalysisJob, AnalysisResult
from inference_worker.looks import look_at
from inference_worker.types import Passage, Prepared
from kilinda.partners import keys
from kilinda.partners.models import Member, Organisation, Role, User
from kilinda.stack.home import free_port
from kilinda.stack.processes import PROCESSES
from tests.bench import queueing, texts
from tests.bench.report import Line

SHORT = "You are all thieves and liars, go away from our town."
BURST = 3000
LOAD_SECONDS = 10
TICK_SECONDS = 0.01
PUSHES, WARM_UP = 20, 3


def measure() -> list[Line]:
    """Return screening_p99_ms, push_p95_ms and idle_memory_mib."""
    organisation, _ = Organisation.objects.get_or_create(name="Bench", slug="bench")
    port = free_port()
    with _running(port) as stack:
        memory = [Line("idle_memory_mib", _memory_mib(stack), "MiB PSS, whole stack")]
        return memory + _screening(organisation) + _pushes(organisation, port)


@contextmanager
def _running(port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run the processes of `make run` against the benchmark's database."""
    environment = {**os.environ, "KILINDA_LOG_LEVEL": "WARNING"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *line.format(port=port).split()],
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for line in PROCESSES.values()
    ]
    try:
        _wait_until_ready(port)
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def _wait_until_ready(port: int) -> None:
    """Wait for the pages and for the workers, whose models load last."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                if json.load(answer)["status"] == "ok":
                    return
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError("the stack is not ready after 180 seconds")


# --- Screening latency ---------------------------------------------------------------------------


def _screening(organisation: Organisation) -> list[Line]:
    """Queue tweets at half the rate the lane can do; latency is from a job's row to its result's.

    The first burst is not counted: connections open, caches fill.
    """
    _capacity(organisation)
    capacity = _capacity(organisation)
    queueing.empty()
    _load(organisation, capacity / 2)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM result.created_at - job.created_at) * 1000 "
            "FROM analysis_results result JOIN analysis_jobs job ON job.id = result.job_id"
        )
        spent = [float(row[0]) for row in cursor.fetchall()]
    queueing.empty()
    cuts = quantiles(spent, n=100)
    floor = _one_forward_ms()
    unit = f"ms at {capacity / 2:.0f}/s, half load"
    return [
        Line("screening_capacity", capacity, "texts/s, whole stack"),
        Line("screening_p50_ms", cuts[49], unit, floor),
        Line("screening_p99_ms", cuts[98], unit, floor, goal="< 100"),
    ]


def _capacity(organisation: Organisation) -> float:
    """Return how many texts a second the running stack judges when all lie ready."""
    queueing.empty()
    queueing.fill(organisation, _tweets(BURST))
    began = time.monotonic()
    doorbell.ring("screen")
    _wait_for_results(BURST)
    return BURST / (time.monotonic() - began)


def _load(organisation: Organisation, per_second: float) -> None:
    """Queue texts evenly, those of TICK_SECONDS in one statement: the lane needs the cores."""
    tweets = _tweets(round(per_second * LOAD_SECONDS))
    began, sent = time.monotonic(), 0
    while sent < len(tweets):
        time.sleep(TICK_SECONDS)
        due = min(len(tweets), round((time.monotonic() - began) * per_second))
        queueing.fill(organisation, tweets[sent:due])
        doorbell.ring("screen")
        sent = due
    _wait_for_results(len(tweets))


def _tweets(count: int) -> list[str]:
    return list(islice(cycle(texts.made_texts()), count))


def _wait_for_results(count: int) -> None:
    end = time.monotonic() + 120
    while AnalysisResult.objects.count() < count:
        assert time.monotonic() < end, "the lane does not keep up"
        time.sleep(0.1)


def _one_forward_ms() -> float:
    """Return what one short text costs the model alone, in milliseconds."""
    registry = tasks.runtime(AnalysisJob.Lane.SCREEN).registry
    (look,) = look_at(Passage(SHORT, "en"), registry)
    assert isinstance(look.prepared, Prepared)
    spent = []
    for _ in range(30):
        began = time.perf_counter()
        look.detector.forward(look.prepared.windows)
        spent.append(time.perf_counter() - began)
    return 1000 * median(spent)


# --- Push ----------------------------------------------------------------------------------------


def _pushes(organisation: Organisation, port: int) -> list[Line]:
    """Submit by API, and wait until a signed-in reviewer's open page shows the new item."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("push_p95_ms is not measured: chromium is missing", file=sys.stderr)
        return []
    from playwright.sync_api import sync_playwright

    _, key = keys.issue(organisation=organisation, name="push")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs in this thread
    reviewer = _reviewer()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        base = f"http://127.0.0.1:{port}"
        page.goto(f"{base}/login/")
        page.fill("[name=username]", reviewer.username)
        page.fill("[name=password]", "bench-password")
        page.press("[name=password]", "Enter")
        page.get_by_role("status").get_by_text("Live").wait_for()
        spent = [_push(page, base, key, number) for number in range(WARM_UP + PUSHES)][WARM_UP:]
        browser.close()
    p95 = quantiles(spent, n=20, method="inclusive")[18]
    return [
        Line("push_p50_ms", median(spent), "ms, submit to page"),
        Line("push_p95_ms", p95, "ms, submit to page", goal="< 500"),
    ]


def _reviewer() -> User:
    user = User.objects.create_user("bench", password="bench-password")
    operator = Organisation.objects.create(name="Desk", slug="desk", is_operator=True)
    Member.objects.create(user=user, organisation=operator, role=Role.REVIEWER)
    return user


def _push(page: Any, base: str, key: str, number: int) -> float:
    began = time.perf_counter()
    body = json.dumps({"text": f"{SHORT} I will kill you, you filthy animals. ({number})"}).encode()
    request = urllib.request.Request(
        f"{base}/api/v1/submissions",
        body,
        {"X-API-Key": key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 202
    page.get_by_text(f"({number})").first.wait_for(timeout=10_000)
    return 1000 * (time.perf_counter() - began)


# --- Memory --------------------------------------------------------------------------------------


def _memory_mib(stack: list[subprocess.Popen[bytes]]) -> float:
    """Return the proportional set size of our processes, their children, and the two servers."""
    pids = {child for process in stack for child in _tree(process.pid)}
    pids |= {child for pid in _servers() for child in _tree(pid)}
    return sum(_pss_kib(pid) for pid in pids) / 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _servers() -> list[int]:
    """Return the embedded servers: the brothers of this process under the supervisor."""
    supervisor = os.getppid()
    return [
        pid
        for pid in _tree(supervisor)
        if Path(f"/proc/{pid}/comm").read_text().strip() in {"postgres", "valkey-server"}
    ]


def _pss_kib(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
