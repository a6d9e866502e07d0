"""Brings the models of KILINDA_MODELS onto this machine's shelf and into the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import structlog
from django.conf import settings
from django.db import transaction

from detection import rollout
from detection.errors import ModelRefused
from detection.versions import ModelVersion
from inference_worker.errors import ModelUnusable, SourceUnavailable
from inference_worker.shelf import Described, Shelf, described
from inference_worker.sources import Source, bases, find, is_directory

log = structlog.get_logger(__name__)

State = ModelVersion.State


def shelf() -> Shelf:
    """Return where this machine keeps fetched models."""
    return Shelf(settings.KILINDA_HOME / "models", settings.KILINDA_MAX_MODEL_BYTES)


def sync() -> None:
    """Register what is new in KILINDA_MODELS; activate it where nothing else was chosen.

    Directories are copied to the shelf, so that a version survives the update that replaces its
    folder. What cannot be reached or is unsafe is logged and left out: health names it, and it
    does not stop workers that have other models.
    """
    found = sorted(_found(), key=lambda model: _numbers(model.folder.version))
    with transaction.atomic():
        rollout.begin()
        for model in found:
            _enter(model, {str(each.folder) for each in found})


def _found() -> Iterator[Described]:
    """Yield every model of the places; those of directories lie on the shelf then."""
    for source in (source for place in bases(settings.KILINDA_MODELS) for source in _in(place)):
        try:
            model = described(source)
            if is_directory(source.uri):
                shelf().take(model)
        except ModelUnusable as error:
            log.error("model refused", source=source.uri, reason=str(error))
        else:
            yield model


def _in(place: str) -> Sequence[Source]:
    try:
        return find(place)
    except SourceUnavailable as error:
        log.error("models not looked for", place=place, reason=str(error))
        return []


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _enter(model: Described, offered: set[str]) -> None:
    try:
        if rollout.is_known(model):
            return
        made = rollout.enter(model, slot="", by=None)
    except ModelRefused as refused:
        log.error("model not registered", source=model.source.uri, reason=str(refused))
        return
    if _follows(made, offered):
        rollout.activate(version=made, actor=None)


def _follows(made: ModelVersion, offered: set[str]) -> bool:
    """Say whether a new version is active at once.

    It is when it is the first of its slot, or when it took the place of a version that no person
    had chosen, as an update of the platform does: that one is no longer offered.
    """
    slot = ModelVersion.objects.filter(slot=made.slot).exclude(pk=made.pk)
    active = slot.filter(state=State.ACTIVE).first()
    if active is None:
        return not slot.filter(moved_by__isnull=False).exists()
    return active.moved_by_id is None and str(active) not in offered
