"""Celery tasks: each answers a doorbell or a schedule and calls one use case."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import uuid4

import structlog
from billiard import Event as SharedFlag
from celery import shared_task
from celery.signals import celeryd_after_setup, worker_process_init, worker_shutting_down
from django.conf import settings
from django.db import connections

from detection import blobs, doorbell, explaining, lineup, queue, scoring
from detection.arrivals import attach_fetched
from detection.errors import FetchError, FetchRefused
from detection.fetching import fetch
from detection.lineup import Lineup
from detection.models import AnalysisJob
from detection.queue import ClaimedJob
from inference_worker.cores import usable_cores
from inference_worker.decoding.decoder import Decoder
from inference_worker.ocr.reader import TextReader, text_reader
from inference_worker.runtime import Runtime
from inference_worker.types import Modality
from inference_worker.watchdog import Watchdog
from kilinda import health, logs, metrics
from kilinda.audit import log as audit
from kilinda.celery import app

log = structlog.get_logger(__name__)

Lane = AnalysisJob.Lane

DRAIN_SECONDS = 10.0
"""How long one task claims before it rings again and returns, so that a stop is never far."""
HEALTHY_SECONDS, SUSPECT_SECONDS = 4.0, 1.0
"""How long healthy jobs, then suspects, are claimed in turn: neither may starve the other."""
HANGING_SECONDS = 180.0
"""A drain in which no pass of a model and no decoding came to its end for so long is hung: its
worker child ends itself, and the sweep takes its jobs back. A full batch takes far less."""
HARD_LIMIT_SECONDS = 1800
"""Celery ends a child that cannot even do that. Long enough for what a drain may have claimed when
large models run on a slow machine."""
SHORT_LIMIT_SECONDS = 180
"""Of the tasks that fetch and explain, which run no long queue of passes."""
BEAT_SECONDS = 5.0

_MODALITIES = {
    Lane.SCREEN: {Modality.TEXT},
    Lane.MEDIA: {Modality.AUDIO, Modality.IMAGE, Modality.VIDEO},
}

# Set in the worker's parent process when it shuts down, seen by the children forked from it.
_stopping = SharedFlag()


@worker_shutting_down.connect
def _stop_claiming(**_: Any) -> None:
    _stopping.set()


@celeryd_after_setup.connect
def _share_cores(instance: Any, **_: Any) -> None:
    """Give each pool child its share of the cores, before it is forked and imports torch."""
    share = max(1, usable_cores() // instance.concurrency)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))


def _lanes() -> set[str]:
    """Return the lanes this worker listens to that need models."""
    return {lane.value for lane in _MODALITIES} & set(app.amqp.queues.consume_from)


@celeryd_after_setup.connect
def _fetch_models(**_: Any) -> None:
    """Fetch models before the children are made: it may take longer than one may take to start."""
    try:
        for lane in _lanes():
            lineup.prepare(_modalities(lane))
    finally:
        connections.close_all()  # they are not the children's


@worker_process_init.connect
def _be_ready(**_: Any) -> None:
    """Load the models of the lanes this worker listens to before the first doorbell."""
    for lane in _lanes():
        runtime(lane)
        threading.Thread(target=_beat, args=[lane], name="beat", daemon=True).start()


def _beat(lane: str) -> None:
    reader = _text_reader(lane)
    while not _stopping.is_set():
        health.beat(lane, reader.version if reader else "")
        time.sleep(BEAT_SECONDS)


def runtime(lane: str) -> Runtime:
    """Return this process's runtime for the lane, with the models that the rollout asks for."""
    return _lineup(lane).runtime()


@cache
def _lineup(lane: str) -> Lineup:
    make_decoder = _decoder if lane == Lane.MEDIA else None
    watchdog = Watchdog(HANGING_SECONDS)
    return Lineup(_modalities(lane), make_decoder, _observe, _text_reader(lane), watchdog)


def _modalities(lane: str) -> set[Modality]:
    """Return what the lane's models judge: texts too, where texts in pictures are read."""
    read = {Modality.TEXT} if _text_reader(lane) else set()
    return _MODALITIES[Lane(lane)] | read


def _text_reader(lane: str) -> TextReader | None:
    return text_reader() if lane == Lane.MEDIA else None


def _decoder() -> Decoder:
    return Decoder(trusted=settings.KILINDA_C2PA_TRUST)


def _observe(label: str, seconds: float) -> None:
    metrics.INFERENCE_DURATION.labels(label).observe(seconds)


@shared_task(time_limit=HARD_LIMIT_SECONDS)
def drain_screen() -> int:
    """Judge what waits in the screen lane; return how many."""
    return drain(Lane.SCREEN)


@shared_task(time_limit=HARD_LIMIT_SECONDS)
def drain_media() -> int:
    """Judge what waits in the media lane; return how many."""
    return drain(Lane.MEDIA)


def drain(lane: Lane, seconds: float = DRAIN_SECONDS) -> int:
    """Work on the lane for a bounded time or until it is empty; return how many jobs were taken."""
    doorbell.answered(lane)
    owner = owner_name(lane)
    may_claim = scoring.until(seconds, _stopping.is_set)
    total, more = 0, True
    with scoring.kept_leases(owner):
        while more and may_claim():
            taken = _turn(lane, owner, may_claim)
            total, more = total + taken, taken > 0 or _lineup(lane).is_behind()
    if more and not _stopping.is_set():
        doorbell.ring(lane)
    return total


def _turn(lane: Lane, owner: str, may_claim: Callable[[], bool]) -> int:
    """Run healthy jobs together, then suspects each alone; return how many were taken."""
    behind = _lineup(lane).is_behind
    healthy = scoring.until(HEALTHY_SECONDS, lambda: not may_claim() or behind())
    taken = _run(lane, scoring.healthy_claimer(lane, owner), healthy)
    suspects = scoring.until(SUSPECT_SECONDS, lambda: not may_claim())
    while alone := _run(lane, scoring.suspect_claimer(lane, owner), suspects):
        taken += alone
    return taken


def _run(lane: Lane, claimer: scoring.Claimer, may_claim: Callable[[], bool]) -> int:
    machine = runtime(lane)
    source = scoring.QueueSource(claimer, may_claim=may_claim)
    machine.drain(source)
    return source.claimed


def owner_name(lane: str) -> str:
    """Return a name for this drain's leases that no other drain, here or elsewhere, has."""
    return f"{lane}@{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"[:120]


@shared_task(time_limit=SHORT_LIMIT_SECONDS)
def drain_fetch() -> int:
    """Fetch what URLs in the queue point at, one after another; return how many."""
    doorbell.answered(Lane.FETCH)
    owner, may_claim = owner_name(Lane.FETCH), scoring.until(DRAIN_SECONDS, _stopping.is_set)
    done = 0
    with scoring.kept_leases(owner):
        while may_claim() and (
            jobs := queue.claim(lane=Lane.FETCH, limit=1, owner=owner)
            or queue.claim_suspect(lane=Lane.FETCH, owner=owner)
        ):
            _fetch(jobs[0])
            done += 1
    if done and not may_claim() and not _stopping.is_set():
        doorbell.ring(Lane.FETCH)
    return done


def _fetch(job: ClaimedJob) -> None:
    logs.name_the_jobs([str(job.id)])
    try:
        attach_fetched(job, fetch(job.url))
    except FetchRefused as refused:
        scoring.fail(job, code=refused.code, reason=refused.reason)
    except FetchError as failed:
        scoring.retry(job, code=failed.code, reason=failed.reason)


@shared_task(time_limit=SHORT_LIMIT_SECONDS)
def explain_screen(score_id: int) -> None:
    """Find out what a text's score rests on, because somebody looks at it."""
    _explain(score_id, Lane.SCREEN)


@shared_task(time_limit=SHORT_LIMIT_SECONDS)
def explain_media(score_id: int) -> None:
    """Find out what a score of media rests on, because somebody looks at it."""
    _explain(score_id, Lane.MEDIA)


def _explain(score_id: int, lane: str) -> None:
    machine = runtime(lane)
    explaining.explain(score_id, machine.registry, machine.decoder)


@shared_task
def sweep() -> None:
    """Take back jobs of lost workers; ring lanes whose doorbell was lost."""
    swept = queue.sweep()
    if swept.requeued or swept.dead:
        log.warning("jobs of lost workers", requeued=swept.requeued, dead=swept.dead)
    for lane in swept.lanes:
        doorbell.ring_at_once(lane)
    if abandoned := blobs.forget_abandoned():
        log.info("remains of uploads deleted", files=abandoned)


@shared_task
def seal_audit() -> None:
    """Chain the audit entries written since the last time."""
    while audit.seal():
        continue
