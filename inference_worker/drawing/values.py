"""What goes into a drawing and comes out of it. Light: the rest of this package is matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every sheet says about its origin."""

    detector: str
    version: str
    label: str
    probability: float
    """Calibrated, of the whole content."""
    threshold: float | None
    """Probability from which the model itself calls its label true; None where not known."""
    computed_at: datetime
    sha256: str
    """Of the file (or text) as it was submitted, hex."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Where a time line lies in a picture, and the seconds of its left and right edge.

    Edges are shares of the picture's width and height, from its upper left corner.
    """

    left: float
    right: float
    top: float
    bottom: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """One finished picture."""

    name: str
    title: str
    png: bytes
    width: int
    height: int
    alt: str
    """What it shows in words and numbers, for who cannot see it."""
    shows_content: bool
    """Whether the submitted picture can be recognised: such a drawing is blurred like it."""
    plot: Plot | None = None
