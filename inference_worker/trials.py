"""Versions on trial: which model judges what beside or instead of the active one, and keeping a
model that fails from doing harm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_worker.types import Abstention, Detector, Judgement, Modality, Prepared, Window

log = logging.getLogger(__name__)

FAILED = "detector_error"
"""Code of the abstention that stands for an error of a model on trial."""


class Role(StrEnum):
    """What a model's judgement is for."""

    ACTIVE = "active"
    CANARY = "canary"
    """Counts instead of the active one's, for a share of the content."""
    SHADOW = "shadow"
    """Is kept for comparison and has no effect."""


@dataclass(frozen=True, slots=True)
class Post:
    """One version and what it is to do. Versions of one slot are alternatives."""

    slot: str
    name: str
    version: str
    modality: Modality
    digest: str
    """sha256 of its kilinda.json."""
    source: str
    role: Role = Role.ACTIVE
    share: float = 0.0
    """Of a canary: the part of the content it judges, 0..1."""
    instead: tuple[Post, ...] = ()
    """What may stand in, in this order, when an active version cannot be loaded."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def judges(self, draw: float) -> bool:
        """Say whether this version looks at the job with this draw, 0 <= draw < 1."""
        return self.role is not Role.CANARY or draw < self.share


@dataclass(frozen=True, slots=True)
class Standing:
    """The role of one version for one job, and its slot."""

    slot: str
    role: Role


Standings = Mapping[str, Standing]
"""By "name@version". What is not in it counts."""


def standings(posts: Sequence[Post], draw: float) -> Standings:
    """Return what each version's judgement on the job with this draw is for.

    Where a canary counts, the active version becomes its shadow, so that the two can be compared.
    """
    judging = [post for post in posts if post.judges(draw)]
    drawn = {post.slot for post in judging if post.role is Role.CANARY}
    return {
        str(post): Standing(post.slot, Role.SHADOW if _is_replaced(post, drawn) else post.role)
        for post in judging
    }


def _is_replaced(post: Post, drawn: set[str]) -> bool:
    """Say whether a canary of its slot judges instead of this active version."""
    return post.role is Role.ACTIVE and post.slot in drawn


def roles(said: Sequence[Judgement], standing: Standings) -> list[Role]:
    """Return what each judgement is for. Where a canary failed, the active version's counts."""
    if not standing:
        return [Role.ACTIVE] * len(said)
    failed = {
        place.slot
        for each in said
        if (place := standing.get(_author(each))) and place.role is Role.CANARY and _failed(each)
    }
    return [_role(each, standing, failed) for each in said]


def _role(said: Judgement, standing: Standings, failed: set[str]) -> Role:
    place = standing.get(_author(said))
    if place is None:
        return Role.ACTIVE
    if place.slot in failed and not _failed(said):
        return Role.ACTIVE
    return Role.SHADOW if place.slot in failed else place.role


def _author(said: Judgement) -> str:
    return f"{said.detector}@{said.version}"


def _failed(said: Judgement) -> bool:
    return isinstance(said, Abstention) and said.code == FAILED


@dataclass
class OnTrial:
    """A shadow's or canary's detector. Where it raises it abstains, so that no job fails by it."""

    detector: Detector
    name: str = field(init=False)
    version: str = field(init=False)
    label: str = field(init=False)
    batch_size: int = field(init=False)

    def __post_init__(self) -> None:
        """Look like the detector."""
        self.name, self.version = self.detector.name, self.detector.version
        self.label, self.batch_size = self.detector.label, self.detector.batch_size

    def prepare(self, content: Any) -> Prepared | Abstention:
        """Prepare, or abstain."""
        try:
            return self.detector.prepare(content)
        except Exception:
            log.exception("a model on trial failed to prepare")
            return self._abstain()

    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Run the model; the row of a window it fails on holds no number."""
        try:
            return self.detector.forward(windows)
        except Exception:
            log.exception("a model on trial failed")
        rows = [self._row(window) for window in windows] if len(windows) > 1 else [None]
        shape = next((row.shape for row in rows if row is not None), ())
        return np.array(
            [np.full(shape, np.nan) if row is None else row for row in rows], np.float32
        )

    def _row(self, window: Window) -> npt.NDArray[np.float32] | None:
        try:
            row: npt.NDArray[np.float32] = self.detector.forward([window])[0]
        except Exception:
            log.exception("a model on trial failed on one window")
            return None
        return row

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Interpret, or abstain."""
        if np.isnan(logits).any():
            return self._abstain()
        try:
            return self.detector.interpret(prepared, logits)
        except Exception:
            log.exception("a model on trial failed to interpret")
            return self._abstain()

    def warm_up(self) -> None:
        """Run the common shapes once."""
        self.detector.warm_up()

    def _abstain(self) -> Abstention:
        reason = "This version of the model failed on this content."
        return Abstention(self.name, self.version, self.label, FAILED, reason)
