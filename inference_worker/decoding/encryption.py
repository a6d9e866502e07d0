"""Tell whether an MP4 file is encrypted: libav would only call its packets damaged.

Boxes and sample entries: ISO/IEC 14496-12 and 23001-7 (common encryption); drms and drmi are
Apple's FairPlay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

_HEADER = 8
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""Where the sample descriptions of a track lie."""
_ENCRYPTED = frozenset({b"encv", b"enca", b"enct", b"encs", b"encm", b"drms", b"drmi"})
_MOST_BOXES = 10_000
"""Looked at in one file; a fragmented film of hours has fewer on its top level."""

Extent = tuple[bytes, int, int]
"""Kind of a box, and where its content begins and ends."""


def is_encrypted(file: IO[bytes]) -> bool:
    """Return whether some track's samples are encrypted; the file is left at its beginning."""
    size = file.seek(0, 2)
    try:
        return any(entry in _ENCRYPTED for entry in _sample_entries(file, size))
    finally:
        file.seek(0)


def _sample_entries(file: IO[bytes], size: int) -> Iterator[bytes]:
    extents: list[Extent] = [(b"", 0, size)]
    budget = [_MOST_BOXES]
    for kind in _PATH:
        extents = [
            box for _, start, end in extents for box in _boxes(file, start, end, budget)
            if box[0] == kind
        ]  # fmt: skip
    for _, start, end in extents:
        for kind, begins, ends in _boxes(file, start, end, budget):
            if kind == b"stsd":  # version, flags and a count come before the entries
                yield from (entry for entry, *_ in _boxes(file, begins + 8, ends, budget))


def _boxes(file: IO[bytes], start: int, end: int, budget: list[int]) -> Iterator[Extent]:
    """Yield the boxes between two places. What does not fit ends it: libav will judge the file."""
    while end - start >= _HEADER and budget[0] > 0:
        budget[0] -= 1
        file.seek(start)
        header = file.read(16)
        if len(header) < _HEADER:
            return
        size, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + _HEADER
        if size == 1 and len(header) == 16:  # a 64-bit size follows
            size, content = int.from_bytes(header[8:], "big"), start + 16
        elif size == 0:  # to the end
            size = end - start
        if size < content - start or size > end - start:
            return
        yield kind, content, start + size
        start += size
