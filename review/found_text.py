"""Text that machines found in media, for the page: message by message, coloured where it scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detection.models import AnalysisResult, ScoreKind
from inference_worker.found_text import KeptText
from inference_worker.types import Origin
from review import evidence
from review.evidence import Evidence, Part, Piece

SHOWN_LINES = 12
"""More than these are folded away until the reviewer asks for them."""


@dataclass(frozen=True, slots=True)
class LineView:
    """One message, caption or sentence; `at` is its place in seconds, None without one."""

    pieces: tuple[Piece, ...]
    at: float | None


@dataclass(frozen=True, slots=True)
class Box:
    """A read word: edges in thousandths of the picture."""

    left: int
    top: int
    width: int
    height: int
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class FoundTextView:
    """A found text. `rest` is folded; `shortened` means that not all of it was kept."""

    is_speech: bool
    by: str
    language: str
    shown: tuple[LineView, ...]
    rest: tuple[LineView, ...]
    shortened: bool


def found_texts(result: AnalysisResult, found: Evidence) -> list[FoundTextView]:
    """Return what was found in the content, read or heard."""
    return [_view(kept, found) for kept in result.metadata.get("found_text", ())]


def boxes(metadata: Mapping[str, Any]) -> list[Box]:
    """Return where the words that were read stand in the picture."""
    return [
        Box(left, top, width, height, text, confidence)
        for left, top, width, height, confidence, text in metadata.get("read_words", ())
    ]


def _view(kept: KeptText, found: Evidence) -> FoundTextView:
    lines = tuple(_lines(kept, found.parts(ScoreKind.TEXT)))
    return FoundTextView(
        is_speech=kept["origin"] == Origin.SPEECH,
        by=kept["by"],
        language=kept["language"] or "",
        shown=lines[:SHOWN_LINES],
        rest=lines[SHOWN_LINES:],
        shortened=kept["shortened"],
    )


def _lines(kept: KeptText, parts: Sequence[Part]) -> Iterable[LineView]:
    """Colour each line: by characters where the text has no time, else by the seconds it covers."""
    begins = 0
    is_timed = any(line["end"] for line in kept["lines"])
    for line in kept["lines"]:
        text = line["text"]
        if is_timed:
            over = [part for part in parts if part.start < line["end"] and line["start"] < part.end]
            mine = [Part(0, len(text), part.percent, part.level) for part in over]
        else:
            mine = [_moved(part, begins) for part in parts]
        yield LineView(tuple(evidence.pieces(text, mine)), line["start"] if is_timed else None)
        begins += len(text) + 1


def _moved(part: Part, begins: int) -> Part:
    return Part(part.start - begins, part.end - begins, part.percent, part.level)
