"""How far a reviewer may lean on a score: its measured reliability, arranged for the eye."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detection.reliability import named
from inference_worker.reliability import Grade

SCALE_FROM = 0.4
"""AUC at the left end of the scale; what ranks worse is drawn there."""
STEPS = (Grade.WEAK, Grade.FAIR, Grade.STRONG)


@dataclass(frozen=True, slots=True)
class Reliance:
    """What was measured for content like this, with places on a scale 100 wide."""

    grade: Grade
    about: str
    """What was measured, or was not; empty when nothing is known of the content."""
    pairs: int = 0
    """Of 100 pairs, how many the model puts in the right order."""
    low: int = 0
    high: int = 0
    n: int = 0
    at: float = 0.0
    """Place of the AUC on the scale, 0 to 100; `start` and `width` are its interval."""
    start: float = 0.0
    width: float = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether there are figures to show."""
        return self.grade != Grade.UNMEASURED

    @property
    def is_relied_on(self) -> bool:
        """Whether the score was measured, and found better than guessing."""
        return self.grade in STEPS

    @property
    def strength(self) -> int:
        """Return how many of the three bars of the sign are filled."""
        return STEPS.index(self.grade) + 1 if self.is_relied_on else 0


def arranged(stated: Mapping[str, Any]) -> Reliance | None:
    """Return a stored reliability for the eye; None for a score from before it was kept."""
    if not stated:
        return None
    grade, about = Grade(stated["grade"]), named(stated["groups"])
    if stated["auc"] is None:
        return Reliance(grade, about)
    start, end = place(stated["low"]), place(stated["high"])
    return Reliance(
        grade=grade,
        about=about,
        pairs=_percent(stated["auc"]),
        low=_percent(stated["low"]),
        high=_percent(stated["high"]),
        n=stated["n"],
        at=place(stated["auc"]),
        start=start,
        width=round(end - start, 2),
    )


def _percent(auc: float) -> int:
    return round(100 * auc)


def place(auc: float) -> float:
    """Return where an AUC lies on the scale, 0 to 100."""
    return round(100 * (max(auc, SCALE_FROM) - SCALE_FROM) / (1 - SCALE_FROM), 2)
