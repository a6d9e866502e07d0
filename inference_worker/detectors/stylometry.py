"""How a text is written, as numbers: function words, sentence rhythm, word lengths, repetition.

Nothing here looks at what a text is about, nor at marks of how it was stored (line breaks, quotes,
dashes, spaces before commas), which tell one collection of texts from another.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]

_COMMON = (
    "the of and to a in that it is was i for on you he be with as by at have are this not but had "
    "his they from she which or we an there her were one do been all their has would will what if "
    "can when so no who more about up them some could him into its then than two my like only "
    "other out over also after me your us our any because how very even most such where just did "
    "get being much before through back too still between never while those these own now"
)
FUNCTION_WORDS = tuple(_COMMON.split())
"""Common English words without a subject of their own (after Mosteller and Wallace 1963)."""
IS_FUNCTION_WORD = frozenset(FUNCTION_WORDS)

WORD = re.compile(r"[A-Za-z]+(?:['\u2019][A-Za-z]+)*")
SENTENCE_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]]*(?:\s+|$)")
MARKS = ",.;:!?"
FIRST_WORDS = 150
"""Repetition grows with length; it is counted over this many words."""
NEAR = 50
"""Words back in which a long word counts as repeated."""
LONG_WORD, SHORT_WORD, LONGER_THAN = 7, 4, 4
COMPRESSED_BYTES = 900

STATISTICS = len(FUNCTION_WORDS) + 16 + len(MARKS)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower() for word in WORD.findall(text)]


def function_word_share(found: Sequence[str]) -> float:
    """Return how many of the words are English function words: nearly half in English."""
    return sum(word in IS_FUNCTION_WORD for word in found) / max(len(found), 1)


def style_statistics(text: str) -> Features:
    """Return the numbers of one stretch of text, float32 of shape (STATISTICS,)."""
    found = words(text)
    counts = Counter(found)
    total = max(len(found), 1)
    values = [
        *(counts[word] / total for word in FUNCTION_WORDS),
        *_rhythm(text),
        *_lengths(found),
        *_repetition(found[:FIRST_WORDS]),
        _compression(text),
        *(100 * text.count(mark) / max(len(text), 1) for mark in MARKS),
    ]
    return np.array(values, np.float32)


def _rhythm(text: str) -> list[float]:
    """Return mean, spread, extremes and relative spread of sentence lengths, in words."""
    sentences = [len(WORD.findall(part)) for part in SENTENCE_END.split(text)]
    lengths = np.array([length for length in sentences if length] or [0])
    mean, spread = float(lengths.mean()), float(lengths.std())
    return [mean, spread, float(lengths.max()), float(lengths.min()), spread / (mean + 1)]


def _lengths(found: Sequence[str]) -> list[float]:
    """Return mean and spread of word lengths, and the shares of long and of short words."""
    lengths = np.array([len(word) for word in found] or [0])
    long, short = (lengths > LONG_WORD).mean(), (lengths < SHORT_WORD).mean()
    return [float(lengths.mean()), float(lengths.std()), float(long), float(short)]


def _repetition(found: Sequence[str]) -> list[float]:
    """Return shares: distinct words, words used once, repeated groups of 2 to 4, near repeats."""
    total = max(len(found), 1)
    counts = Counter(found)
    once = sum(count == 1 for count in counts.values()) / total
    groups = [_repeated_groups(found, size) for size in (2, 3, 4)]
    near = sum(
        len(word) > LONGER_THAN and word in found[max(0, at - NEAR) : at]
        for at, word in enumerate(found)
    )
    return [len(counts) / total, once, *groups, near / total]


def _repeated_groups(found: Sequence[str], size: int) -> float:
    groups = list(zip(*(found[start:] for start in range(size)), strict=False))
    return 1 - len(set(groups)) / len(groups) if groups else 0.0


def _compression(text: str) -> float:
    """Return how small the beginning of the text can be packed, as a share of its length."""
    packed = text[:COMPRESSED_BYTES].encode()
    return len(zlib.compress(packed, 9)) / max(len(packed), 1)
