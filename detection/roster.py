"""What the rollout asks of a worker, as plain values, and what a worker reports back."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from django.db.models.functions import Now

from detection import rollout
from detection.versions import ModelVersion
from inference_worker.registry import TRANSCRIPT, needed
from inference_worker.trials import Post, Role
from inference_worker.types import Modality

_HERE = f"{socket.gethostname()}: "


def read(modalities: Collection[Modality]) -> tuple[int, list[Post]]:
    """Return the number of moves so far, and the posts of the models that content of these kinds
    needs, active ones first.

    The number is read first: a move in between makes a worker read once more, never too little.
    """
    number = rollout.generation()
    writes = ModelVersion.objects.filter(task=TRANSCRIPT, state=ModelVersion.State.ACTIVE).exists()
    wanted = [each.value for each in needed(modalities, writes=writes)]
    rows = {row.pk: row for row in ModelVersion.objects.filter(modality__in=wanted)}
    posts = [_post(row, rows) for row in rows.values() if row.state in ModelVersion.IN_USE]
    return number, sorted(posts, key=lambda post: (post.role is not Role.ACTIVE, str(post)))


def post_of(version: ModelVersion) -> Post:
    """Return a version's post as if it were active and nothing could stand in."""
    return Post(
        slot=version.slot,
        name=version.name,
        version=version.version,
        modality=Modality(version.modality),
        digest=version.digest,
        source=version.source,
    )


def _post(row: ModelVersion, rows: Mapping[int, ModelVersion]) -> Post:
    return replace(
        post_of(row),
        role=Role(row.state),
        share=(row.share_percent or 0) / 100,
        instead=tuple(post_of(each) for each in _before(row, rows)),
    )


def _before(row: ModelVersion, rows: Mapping[int, ModelVersion]) -> Iterator[ModelVersion]:
    """Yield the versions that were active before, the last one first, each once."""
    seen = {row.pk}
    while row.succeeded_id is not None and row.succeeded_id not in seen:
        row = rows[row.succeeded_id]
        seen.add(row.pk)
        yield row


def report_loaded(post: Post) -> None:
    """Note that this machine has loaded a version; what it said before against it is over."""
    row = ModelVersion.objects.filter(digest=post.digest)
    row.update(loaded_at=Now())
    row.filter(load_error__startswith=_HERE).update(load_error="")


def report_failed(post: Post, reason: str) -> None:
    """Note on the version's row why this machine could not load it."""
    ModelVersion.objects.filter(digest=post.digest).update(load_error=f"{_HERE}{reason}")
