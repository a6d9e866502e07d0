"""Put the words of a page in order: lines, and the messages or captions that lines make up.

A chat's clock times, status bar and labels are left out: nobody wrote them, and each message should
be judged by its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from inference_worker.ocr.tesseract import Word

LEAST_CONFIDENCE = 0.5
"""Below it tesseract's words are texture more often than text."""
STATUS_BAR = 0.045
"""Share of a phone's screen above which there are clock, network and battery."""

_WIDE_GAP = 2.5
"""Times the height of a word: a gap that separates two texts on one line."""
_NEXT_LINE = 1.4
"""Times the height of a word: a gap below which the next line belongs to the same message."""

_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}")
_AFTER_CLOCK = re.compile(r"(?:[ap]\.?m\.?|[vVwW/\\✓✔√]{1,4})", re.IGNORECASE)
"""am, pm, and what tesseract makes of ticks."""
_NOT_A_MESSAGE = re.compile(
    r"""(?:
      \W*
    | \+?\(?\d[\d\s().-]{6,}                                    # a telephone number
    | \d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}                           # a date
    | \d{1,2}\ \w{3,9}\ \d{4} | \w{3,9}\ \d{1,2},?\ \d{4}
    | today | yesterday | leo | jana
    | (?:mon|tues|wednes|thurs|fri|satur|sun)day
    | online | typing\W* | last\ seen.* | tap\ (?:here|for).* | mtandaoni
    | (?:type\ a\ )?message | ujumbe | edited | forwarded(?:\ many\ times)? | read\ more\W*
    | messages\ and\ calls\ are\ end-to-end\ encrypted.*
    )""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Row:
    """Words beside each other, from left to right."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words as one string."""
        return " ".join(word.text for word in self.words)

    @property
    def height(self) -> float:
        """Of a typical word, in pixels."""
        return median(word.bottom - word.top for word in self.words)

    @property
    def left(self) -> int:
        """Where it begins."""
        return self.words[0].left

    @property
    def right(self) -> int:
        """Where it ends."""
        return self.words[-1].right

    @property
    def top(self) -> int:
        """Its upper edge."""
        return min(word.top for word in self.words)

    @property
    def bottom(self) -> int:
        """Its lower edge."""
        return max(word.bottom for word in self.words)


def messages(words: Iterable[Word], width: int, height: int) -> list[list[Row]]:
    """Return the rows of each message on a page of this size, from top to bottom."""
    kept = [word for word in words if word.confidence >= LEAST_CONFIDENCE]
    rows = [row for row in _rows(kept) if not _is_status_bar(row, width, height)]
    rows = [row for row in map(_without_clock, rows) if _is_written(row)]
    found: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (row.top, row.left)):
        message = next((each for each in reversed(found) if _continues(row, each[-1])), None)
        if message is None:
            found.append([row])
        else:
            message.append(row)
    return found


def text_of(message: Sequence[Row]) -> str:
    """Return a message as one line."""
    return " ".join(row.text for row in message)


def _rows(words: Sequence[Word]) -> Iterator[Row]:
    for _, on_line in groupby(words, key=lambda word: word.line):
        start, line = 0, sorted(on_line, key=lambda word: word.left)
        for place, (one, other) in enumerate(pairwise(line), 1):
            if other.left - one.right > _WIDE_GAP * (one.bottom - one.top):
                yield Row(tuple(line[start:place]))
                start = place
        yield Row(tuple(line[start:]))


def _is_written(row: Row) -> bool:
    return bool(row.words) and not _NOT_A_MESSAGE.fullmatch(row.text)


def _is_status_bar(row: Row, width: int, height: int) -> bool:
    return height > 1.3 * width and row.bottom < STATUS_BAR * height


def _without_clock(row: Row) -> Row:
    """Cut the time of sending off the end, in its smaller type; a time in a sentence stays."""
    kept = list(row.words)
    while len(kept) > 1 and _AFTER_CLOCK.fullmatch(kept[-1].text):
        kept.pop()
    if not _CLOCK.fullmatch(kept[-1].text):
        return row
    clock, before = kept[-1], Row(tuple(kept[:-1] or kept))
    if len(kept) == 1:
        return Row(())
    is_apart = clock.left - before.right > before.height
    is_small = clock.bottom - clock.top < 0.8 * before.height
    return before if is_apart or is_small else row


def _continues(row: Row, last: Row) -> bool:
    """Say whether a row is the next one of a message: close below, and in line with it."""
    high = max(row.height, last.height)
    gap = row.top - last.bottom
    is_close = -0.5 * high < gap < _NEXT_LINE * high
    is_like = min(row.height, last.height) > 0.6 * high
    starts_alike = abs(row.left - last.left) < 1.2 * high
    is_centred = abs((row.left + row.right) - (last.left + last.right)) < 3 * high
    return is_close and is_like and (starts_alike or is_centred)
