"""Metrics under the fixed names of the contract, and the private page that shows them.

Counted things are plain objects below, added up over all processes in PROMETHEUS_MULTIPROC_DIR.
Standing facts, such as queue depth, are read from the database when somebody looks.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from celery import signals
from django.db import Error, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kilinda import routes

log = structlog.get_logger("kilinda.metrics")

_MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"
_STATEMENT_TIMEOUT_MS = 1_000
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PERCENT = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100)

# --- Counted by the processes --------------------------------------------------------------------

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series each that nobody reads

REQUESTS = Counter(
    "kilinda_requests_total", "HTTP requests answered.", ["method", "endpoint", "status"]
)
INFERENCE_DURATION = Histogram(
    "kilinda_inference_duration_seconds",
    "Time of one forward pass over one batch.",
    ["model_type"],
    buckets=_SECONDS,
)
DETECTIONS = Counter(
    "kilinda_detections_total", "Analysis results written.", ["risk_level", "content_type"]
)
SCREENING_DURATION = Histogram(
    "kilinda_screening_duration_seconds",
    "From submission to result, waiting included.",
    buckets=_SECONDS,
)
SCREENING_CONFIDENCE = Histogram(
    "kilinda_screening_confidence",
    "Overall confidence of results, in percent.",
    buckets=_PERCENT,
)
EVENTS_PROCESSED = Counter("kilinda_events_processed_total", "Chat events screened to a result.")
LEASE_LOSSES = Counter(
    "kilinda_lease_losses_total", "Jobs whose worker was lost or finished past its lease."
)
JOBS_DEAD = Counter("kilinda_jobs_dead_total", "Jobs given up after crashing their worker.")


class RequestMetricsMiddleware:
    """Counts each answered request by method, URL pattern and status."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self.is_async:
            return self._answer_async(request)
        return _counted(request, self.get_response(request))

    async def _answer_async(self, request: HttpRequest) -> HttpResponse:
        return _counted(request, await self.get_response(request))


def _counted(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    REQUESTS.labels(routes.method(request), routes.endpoint(request), response.status_code).inc()
    return response


# --- Read from the database ----------------------------------------------------------------------

# Plain SQL: this module is used by every floor and may import none. Each query is served by a
# partial index; finished jobs and final items, which only ever grow, are never counted here.
_QUEUE_DEPTH = """
SELECT CASE priority WHEN 0 THEN 'urgent' WHEN 1 THEN 'high' WHEN 2 THEN 'normal' ELSE 'low' END,
       count(*)
FROM analysis_jobs WHERE state = 'queued' GROUP BY 1
"""
_OLDEST_QUEUED = """
SELECT lane, extract(epoch FROM statement_timestamp() - min(created_at))
FROM analysis_jobs WHERE state = 'queued' GROUP BY lane
"""
_JOBS = """
SELECT 'queued', count(*) FROM analysis_jobs WHERE state = 'queued'
UNION ALL SELECT 'running', count(*) FROM analysis_jobs WHERE state = 'running'
UNION ALL SELECT state, count(*) FROM analysis_jobs WHERE state IN ('failed', 'dead') GROUP BY state
"""
_REVIEW_ITEMS = """
SELECT status, count(*) FROM hitl_queue
WHERE status IN ('open', 'claimed', 'escalated', 'decided', 'appealed') GROUP BY status
"""
# Of the items of the last 30 days that policy called risky and a reviewer could judge, the share
# found to be nothing of the kind.
_FALSE_POSITIVES = """
SELECT avg((expert_decision = 'authentic')::int) FROM hitl_queue
WHERE status IN ('decided', 'final') AND submitted_at > now() - interval '30 days'
  AND reason = 'risk'
  AND expert_decision NOT IN ('inconclusive', 'out_of_scope', 'unsupported_language')
"""
_PRIORITIES = ("urgent", "high", "normal", "low")
_STATES = ("queued", "running", "failed", "dead")
_STATUSES = ("open", "claimed", "escalated", "decided", "appealed")

_Row = tuple[Any, ...]


class DatabaseCollector(Collector):
    """What the database knows. Without a database the page still shows everything else."""

    def collect(self) -> Iterator[Metric]:
        """Read all facts in one short transaction."""
        try:
            families = _standing_facts()
        except Error as error:
            log.warning("metrics not read from the database", error=str(error))
            families = []
        yield GaugeMetricFamily(
            "kilinda_database_readable", "1 when the facts below could be read.", bool(families)
        )
        yield from families


def _standing_facts() -> list[Metric]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = %s", [_STATEMENT_TIMEOUT_MS])

        def rows(sql: str) -> list[_Row]:
            cursor.execute(sql)
            return list(cursor.fetchall())

        return [
            _by_label(
                "kilinda_queue_depth", "Queued jobs.", "priority", rows(_QUEUE_DEPTH), _PRIORITIES
            ),
            _by_label(
                "kilinda_oldest_queued_age_seconds",
                "Age of the job queued longest.",
                "lane",
                rows(_OLDEST_QUEUED),
                ("fetch", "screen", "media"),
            ),
            _by_label("kilinda_jobs", "Jobs not done.", "state", rows(_JOBS), _STATES),
            _by_label(
                "kilinda_review_items", "Items in review.", "status", rows(_REVIEW_ITEMS), _STATUSES
            ),
            _false_positive_rate(rows(_FALSE_POSITIVES)),
        ]


def _by_label(
    name: str, help_text: str, label: str, rows: list[_Row], known: tuple[str, ...]
) -> Metric:
    """Return a gauge with a sample for every known value, so that none vanishes at zero."""
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, number in (dict.fromkeys(known, 0) | dict(rows)).items():
        family.add_metric([value], float(number))
    return family


def _false_positive_rate(rows: list[_Row]) -> Metric:
    """Return the share, 0 to 1; no sample while there are no decisions to measure."""
    family = GaugeMetricFamily(
        "kilinda_false_positive_rate", "Risky items of 30 days that reviewers found authentic."
    )
    if rows[0][0] is not None:
        family.add_metric([], float(rows[0][0]))
    return family


_FROM_DATABASE = CollectorRegistry()
_FROM_DATABASE.register(DatabaseCollector())


# --- The page ------------------------------------------------------------------------------------


def export(request: HttpRequest) -> HttpResponse:
    """Show all metrics to a private address; to anyone else there is no such page."""
    if not _is_private(request.META.get("REMOTE_ADDR", "")):
        raise Http404
    body = generate_latest(_counted_by_processes()) + generate_latest(_FROM_DATABASE)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _is_private(address: str) -> bool:
    """Judge the peer's own address; X-Forwarded-For is whatever a client writes into it."""
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return (mapped or peer).is_private


def _counted_by_processes() -> CollectorRegistry:
    if _MULTIPROC not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


@signals.worker_process_shutdown.connect
def forget_live_gauges(pid: int, **_: Any) -> None:
    """Drop what a pool child reported about itself while alive; its counters stay, as they must."""
    if _MULTIPROC in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
