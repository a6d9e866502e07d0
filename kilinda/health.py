"""Is this installation alive, and can it keep its promise? Each answer names what failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import LiteralString, TypeAlias

import psycopg
import redis
import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from inference_worker.errors import ModelUnusable
from inference_worker.registry import MANIFEST, ModelFolder
from inference_worker.sources import bases, directories
from kilinda import broker
from kilinda.ids import uuid7

log = structlog.get_logger("kilinda.health")

LANES = ("screen", "media")
"""The lanes that need a live worker for submissions to reach a verdict."""

BEAT_LIFETIME_SECONDS = 30
_PATIENCE_SECONDS = 1.5
_REPORT_LIFETIME_SECONDS = 1.0


class CheckFailed(Exception):
    """A check failed; the message says why, without secrets or addresses of servers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. `problem` is empty when all is well."""

    problem: str
    seconds: float

    def __bool__(self) -> bool:
        return not self.problem


# --- Views ---------------------------------------------------------------------------------------


@never_cache
def live(_request: HttpRequest) -> JsonResponse:
    """Answer at all: the process works. It says nothing of the servers, so that a database that
    is away does not make a supervisor restart healthy processes."""
    return JsonResponse({"status": "ok"})


@never_cache
def ready(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when submissions can be accepted and will reach a verdict, else 503."""
    findings = report(REQUIRED)
    return _answer(findings, "ok" if all(findings.values()) else "failing")


@never_cache
def summary(_request: HttpRequest) -> JsonResponse:
    """Like ready, and say too whether workers are alive. Without them nothing is lost, only late:
    that is "degraded" and still 200."""
    findings = report(REQUIRED)
    workers = report(WORKERS)
    healthy = "ok" if all(workers.values()) else "degraded"
    status = healthy if all(findings.values()) else "failing"
    return _answer(findings | workers, status, text_in_pictures=_text_in_pictures(findings))


def _text_in_pictures(findings: Mapping[str, Finding]) -> str:
    """Say what reads the text in pictures; its lack is a choice of the operator, not a failure."""
    unknown = "unknown: no live media worker"
    if not findings["broker"]:
        return unknown
    try:
        (told,) = broker.client().mget([_beat_key("media")])
    except redis.RedisError:
        return unknown
    if told is None:
        return unknown
    said = told if isinstance(told, str) else told.decode()
    return said or "off: tesseract is not installed on the media worker"


def _answer(findings: Mapping[str, Finding], status: str, **more: str) -> JsonResponse:
    checks = {
        name: {
            "status": "ok" if finding else "failing",
            **({"problem": finding.problem} if finding.problem else {}),
            "seconds": round(finding.seconds, 3),
        }
        for name, finding in findings.items()
    }
    body = {
        "status": status,
        "failed": [name for name, finding in findings.items() if not finding],
        "checks": checks,
        **more,
    }
    return JsonResponse(body, status=503 if status == "failing" else 200)


# --- Running checks ------------------------------------------------------------------------------

Check: TypeAlias = Callable[[], None]


def report(checks: Mapping[str, Check]) -> dict[str, Finding]:
    """Run the checks at once, unless they ran within the last second: probes must not add load."""
    with _report_lock:
        key = tuple(checks)
        at, findings = _last_report.get(key, (0.0, {}))
        if time.monotonic() - at > _REPORT_LIFETIME_SECONDS:
            findings = examine(checks)
            _last_report[key] = (time.monotonic(), findings)
        return findings


_report_lock = threading.Lock()
_last_report: dict[tuple[str, ...], tuple[float, dict[str, Finding]]] = {}


def examine(checks: Mapping[str, Check]) -> dict[str, Finding]:
    """Run the checks side by side; one that does not answer in its time has failed."""
    began = time.monotonic()
    running = {name: _start(check) for name, check in checks.items()}
    return {name: _outcome(future, began) for name, future in running.items()}


def _start(check: Check) -> Future[float]:
    """Run a check on a thread of its own, which no black hole can keep from others."""
    future: Future[float] = Future()
    threading.Thread(target=_run, args=(check, future), daemon=True).start()
    return future


def _run(check: Check, future: Future[float]) -> None:
    began = time.monotonic()
    try:
        check()
    except Exception as error:  # noqa: BLE001 - carried over to _outcome, which tells
        future.set_exception(error)
    else:
        future.set_result(time.monotonic() - began)


def _outcome(future: Future[float], began: float) -> Finding:
    try:
        left = _PATIENCE_SECONDS - (time.monotonic() - began)
        return Finding("", future.result(timeout=max(left, 0)))
    except TimeoutError:
        problem = f"no answer within {_PATIENCE_SECONDS} s"
    except CheckFailed as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - a check may fail in any way of its library
        log.warning("health check failed", error=str(error))
        problem = type(error).__name__
    return Finding(problem, time.monotonic() - began)


# --- The checks ----------------------------------------------------------------------------------


def check_database() -> None:
    """Connect afresh, as a new process would, and see that every migration was applied."""
    try:
        applied = set(_asked("SELECT app, name FROM django_migrations"))
    except psycopg.errors.UndefinedTable as error:
        raise CheckFailed("no migration was applied yet") from error
    if missing := _newest_migrations() - applied:
        named = ", ".join(sorted(f"{app}.{name}" for app, name in missing))
        raise CheckFailed(f"migrations not applied: {named}")


def _asked(query: LiteralString) -> list[tuple[str, str]]:
    """Ask on a fresh connection, within a second."""
    facts = connections.settings["default"]
    given = facts["OPTIONS"]
    within = {  # two seconds are the least that psycopg takes
        "connect_timeout": 2,
        "options": f"{given.get('options', '')} -c statement_timeout=1000",
    }
    with psycopg.connect(
        host=facts["HOST"],
        port=facts["PORT"],
        user=facts["USER"],
        password=facts["PASSWORD"],
        dbname=facts["NAME"],
        **given | within,
    ) as database:
        return list(database.execute(query).fetchall())


@cache
def _newest_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def check_broker() -> None:
    """Ping the broker."""
    broker.client().ping()


def check_storage() -> None:
    """Write, read and remove a small file where media are kept."""
    content = uuid7().bytes
    name = default_storage.save(f"health/{content.hex()}", ContentFile(content))
    try:
        with default_storage.open(name) as stored:
            if stored.read() != content:
                raise CheckFailed("a file read back differs from what was written")
    finally:
        default_storage.delete(name)


def check_models() -> None:
    """Verify every model folder against its hashes; again only when a file changed.

    Only directories are looked at: what comes from elsewhere is verified when it is fetched.
    """
    places = directories(settings.KILINDA_MODELS)
    folders = sorted(manifest.parent for root in places for manifest in root.rglob(MANIFEST))
    if not folders and len(places) == len(bases(settings.KILINDA_MODELS)):
        raise CheckFailed("no model folder is installed")
    try:
        for folder in folders:
            _verify(folder, _fingerprint(folder))
    except ModelUnusable as error:
        raise CheckFailed(str(error)) from error


def _fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, time of change (ns) and size of every file."""
    return tuple(
        (str(path), found.st_mtime_ns, found.st_size)
        for path in sorted(folder.rglob("*"))
        if (found := path.lstat())
    )


@cache
def _verify(folder: Path, _fingerprint: tuple[tuple[str, int, int], ...]) -> None:
    ModelFolder.load(folder)


def check_rollout() -> None:
    """See that every version in use could be loaded; where one could not, another judges."""
    failed = _asked(
        "SELECT name || '@' || version, load_error FROM detection_modelversion"
        " WHERE load_error <> '' AND state IN ('active', 'canary', 'shadow') ORDER BY 1"
    )
    if failed:
        raise CheckFailed("; ".join(f"{model} is not loaded on {why}" for model, why in failed))


def check_workers() -> None:
    """See that each lane's worker reported within its time."""
    seen = broker.client().mget([_beat_key(lane) for lane in LANES])
    silent = [lane for lane, beat in zip(LANES, seen, strict=True) if beat is None]
    if silent:
        raise CheckFailed(f"no live worker in lane {', '.join(silent)}")


REQUIRED: Mapping[str, Check] = {
    "database": check_database,
    "broker": check_broker,
    "storage": check_storage,
    "models": check_models,
}
WORKERS: Mapping[str, Check] = {"workers": check_workers, "rollout": check_rollout}


# --- Heartbeats ----------------------------------------------------------------------------------


def beat(lane: str, reads_pictures_by: str = "") -> None:
    """Say that a worker of this lane is alive, and what it reads the text in pictures by.

    Call it every few seconds; it never raises for a broker that is away, because the work does not
    depend on it.
    """
    try:
        broker.client().set(_beat_key(lane), reads_pictures_by, ex=BEAT_LIFETIME_SECONDS)
    except redis.RedisError as error:
        log.warning("heartbeat not delivered", lane=lane, error=type(error).__name__)


def _beat_key(lane: str) -> str:
    return f"kilinda:beat:{lane}"
