"""Text that machines find in media: how the text detectors get it, and how it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TypedDict

from inference_worker.types import FoundText, Line, Origin, Passage, Segment

MOST_MESSAGES = 40
"""Judged by themselves; all of them are judged together."""
MOST_KEPT_CHARACTERS = 20_000
"""Of one found text, stored with the result."""


class KeptLine(TypedDict):
    """A Line as it is stored."""

    text: str
    start: float
    end: float


class KeptText(TypedDict):
    """A FoundText as it is stored in a result's metadata, under "found_text"."""

    origin: str
    by: str
    language: str | None
    lines: list[KeptLine]
    shortened: bool
    """Whether there was more than MOST_KEPT_CHARACTERS."""


def passage_of(found: FoundText) -> Passage:
    """Return all lines as one text, one below the other."""
    return Passage("\n".join(line.text for line in found.lines), found.language)


def messages_of(found: FoundText) -> list[tuple[int, Passage]]:
    """Return each line of a picture by itself, with the character of `passage_of` it begins at.

    One threat among many harmless messages of a chat would be lost in the whole. Empty where there
    is only one line, or where lines follow each other in time, as in speech. The longest
    MOST_MESSAGES are returned.
    """
    if len(found.lines) < 2 or any(line.end for line in found.lines):
        return []
    begins = accumulate((len(line.text) + 1 for line in found.lines), initial=0)
    placed = [
        (at, Passage(line.text, found.language))
        for at, line in zip(begins, found.lines, strict=False)
    ]
    longest = sorted(placed, key=lambda each: -len(each[1].text))[:MOST_MESSAGES]
    return sorted(longest, key=lambda each: each[0])


def judged_part(found: FoundText, segments: Sequence[Segment]) -> tuple[int, Passage]:
    """Return what a score with these segments was given for: one message, or all of the text.

    With the character of `passage_of` at which it begins.
    """
    for begins, message in messages_of(found):
        if all(begins <= s.start and s.end <= begins + len(message.text) for s in segments):
            return begins, message
    return 0, passage_of(found)


def in_time(found: FoundText, segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Move segments of `passage_of(found)` from characters to the seconds of their lines.

    Text that has no time, such as that of a single picture, keeps its characters.
    """
    if not any(line.end for line in found.lines):
        return tuple(segments)
    ends = list(accumulate(len(line.text) + 1 for line in found.lines))
    return tuple(_moved(segment, found.lines, ends) for segment in segments)


def _moved(segment: Segment, lines: Sequence[Line], ends: Sequence[int]) -> Segment:
    starts = (0, *ends)
    touched = [
        line
        for line, start, end in zip(lines, starts, ends, strict=False)
        if start < max(segment.end, segment.start + 1) and segment.start < end
    ]
    return Segment(
        min(line.start for line in touched),
        max(line.end for line in touched),
        segment.probability,
    )


def kept(found: FoundText) -> KeptText:
    """Return what is stored of a found text: its first MOST_KEPT_CHARACTERS."""
    lines: list[KeptLine] = []
    room = MOST_KEPT_CHARACTERS
    for line in found.lines:
        if room > 0:
            start, end = round(line.start, 2), round(line.end, 2)
            lines.append(KeptLine(text=line.text[:room], start=start, end=end))
        room -= len(line.text)
    return KeptText(
        origin=found.origin.value,
        by=found.by,
        language=found.language,
        lines=lines,
        shortened=room < 0,
    )


def restored(stored: KeptText) -> FoundText:
    """Return a stored text as it was found, as far as it was kept."""
    return FoundText(
        Origin(stored["origin"]),
        stored["by"],
        tuple(Line(line["text"], line["start"], line["end"]) for line in stored["lines"]),
        stored["language"],
    )


def over_time(origin: Origin, by: str, shown: Iterable[Line]) -> FoundText | None:
    """Join lines in time order, those that merely repeat the line before into one longer line.

    None when there is no text at all.
    """
    lines: list[Line] = []
    for line in shown:
        if lines and lines[-1].text == line.text:
            lines[-1] = Line(line.text, lines[-1].start, line.end)
        elif line.text.strip():
            lines.append(line)
    return FoundText(origin, by, tuple(lines)) if lines else None
