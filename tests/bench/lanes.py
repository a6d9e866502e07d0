"""Whole lanes, queued rows to written results, beside decode and forward run flat out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from django.core.files.base import File
from django.core.files.storage import default_storage

from detection import scoring, tasks
from detection.models import AnalysisJob, AnalysisResult, Media, Submission
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.reading import read
from inference_worker.looks import look_at
from inference_worker.registry import sha256
from inference_worker.runtime import Runtime
from inference_worker.types import Content, Modality, Prepared, Window
from kilinda.partners.models import Organisation
from tests.bench import queueing
from tests.bench.report import Line, beside_floor

SAMPLES = Path("kilinda/demo/samples")
PICTURES, SOUNDS = 96, 48
LANE = AnalysisJob.Lane


def measure() -> list[Line]:
    """Return image_lane_ratio and audio_lane_ratio; see tests.bench.texts for texts."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    organisation, _ = Organisation.objects.get_or_create(name="Bench", slug="bench")
    queueing.empty()
    media = tasks.runtime(LANE.MEDIA)
    picture = _stored(SAMPLES / "landscape.jpg", "image/jpeg", "image")
    sound = _stored(SAMPLES / "computer-voice-sw.ogg", "audio/ogg", "audio")
    return [
        beside_floor(
            "image_lane_ratio",
            "pictures/s",
            lambda: _lane(
                media, LANE.MEDIA, partial(_fill, organisation, picture, PICTURES), PICTURES
            ),
            lambda: flat_out(media, [partial(_read, picture)] * PICTURES),
            goal=">= 0.8",
        ),
        beside_floor(
            "audio_lane_ratio",
            "recordings/s",
            lambda: _lane(media, LANE.MEDIA, partial(_fill, organisation, sound, SOUNDS), SOUNDS),
            lambda: flat_out(media, [partial(_read, sound)] * SOUNDS),
            goal=">= 0.8",
        ),
    ]


# --- The product ---------------------------------------------------------------------------------


def _lane(runtime: Runtime, lane: str, fill: Callable[[], None], count: int) -> float:
    """Queue the items, drain the lane as a worker does, and return items a second."""
    fill()
    before = AnalysisResult.objects.count()
    began = time.perf_counter()
    drain(runtime, lane)
    spent = time.perf_counter() - began
    written = AnalysisResult.objects.count() - before
    assert written == count, f"{written} results for {count} jobs"
    return count / spent


def drain(runtime: Runtime, lane: str) -> None:
    """Work until the lane is empty."""
    owner = tasks.owner_name(lane)
    with scoring.kept_leases(owner):
        healthy = scoring.healthy_claimer(lane, owner)
        runtime.drain(scoring.QueueSource(healthy, may_claim=lambda: True))


def _fill(organisation: Organisation, media: Media, count: int) -> None:
    submissions = Submission.objects.bulk_create(
        Submission(organisation=organisation, content_type=media.modality, media=media)
        for _ in range(count)
    )
    AnalysisJob.objects.bulk_create(
        AnalysisJob(submission=submission, lane=LANE.MEDIA) for submission in submissions
    )


def _stored(path: Path, mime: str, modality: str) -> Media:
    media, _ = Media.objects.get_or_create(
        sha256=sha256(path),
        defaults={"size_bytes": path.stat().st_size, "mime": mime, "modality": modality},
    )
    if not default_storage.exists(media.storage_name):
        with path.open("rb") as file:
            default_storage.save(media.storage_name, File(file))
    return media


# --- The floor -----------------------------------------------------------------------------------


def flat_out(runtime: Runtime, readers: Sequence[Callable[[], Content]]) -> float:
    """Decode two at a time without a sandbox, sort all windows by length, forward; items a second.

    No queue, no leases, no sandbox, no results: nothing but what the models cannot do without.
    """
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        waiting: dict[int, tuple[Any, list[Window]]] = {}
        for content in pool.map(lambda reader: reader(), readers):
            for look in look_at(content, runtime.registry):
                if isinstance(look.prepared, Prepared):
                    windows = waiting.setdefault(id(look.detector), (look.detector, []))[1]
                    windows.extend(look.prepared.windows)
    for detector, windows in waiting.values():
        for batch in _batches(windows, detector.batch_size):
            detector.forward(batch)
    return len(readers) / (time.perf_counter() - began)


def _batches(windows: list[Window], size: int) -> Iterator[list[Window]]:
    windows.sort(key=lambda window: window.length)
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def _read(media: Media) -> Content:
    with Path(default_storage.path(media.storage_name)).open("rb") as file:
        return read(file, Modality(media.modality), Limits())
