"""Finds which English text each text of a machine-translated set was translated from.

The set (M1urray/Hate-Speech-For-Swahili) lost that link, and so its labels belong to other texts;
but long stretches of it still follow the order of their originals. Both sides in order, the best
pairing that never crosses is found by dynamic programming, as sentences are aligned in parallel
books (Gale and Church 1993), from words left untranslated and the lengths. A word lexicon learnt
from these pairs (IBM model 1: Brown et al. 1993) then makes the next pairing better.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float32]
Lexicon = Mapping[str, Mapping[str, float]]
"""A foreign word to its English translations and how likely each is."""

NOISE = re.compile(r"&\s?#\s?\d+;|&\s?amp;|&|@\s?\w+|https?:?\S*|\burl\b|\buser\b")
WORD = re.compile(r"#?\w+(?:'\w+)?")
BAND = 2600
"""Originals looked at on either side of where a text would lie if the stretch were even."""
COMMON = 400
"""Untranslated words in more originals than this are chance."""
LENGTH_WEIGHT = 0.35
LEAST_GAIN = 0.35
"""A pair must be this similar; at the end FINAL_GAIN, which leaves few wrong pairs."""
FINAL_GAIN = 0.55
ROUNDS = 3
TRUSTED = 0.75
"""Share of the best pairs from which the lexicon is learnt."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Places of a translated text and its original, and how alike they are."""

    foreign: int
    original: int
    likeness: float


def words(text: str) -> list[str]:
    """Return the lower-case words of a text, without mentions, links and HTML entities."""
    return WORD.findall(NOISE.sub(" ", text.lower()))


class _Originals:
    """The English side as a matrix: one row a text, one column a word, weighted by rarity."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count the words."""
        self.words = [words(text) for text in texts]
        self.seen_in = Counter(word for found in self.words for word in set(found))
        self.place = {word: place for place, word in enumerate(self.seen_in)}
        counts = np.array(list(self.seen_in.values()))
        rarity = np.log(len(texts) / (counts + 1)).astype(np.float32)
        rows = [{self.place[word]: 1.0 for word in found} for found in self.words]
        present = _matrix(rows, len(self.place))
        self.weighted = (present @ sparse.diags(rarity)).tocsr()
        self.norm = np.sqrt(present @ rarity**2) + 1
        self.lengths = np.array([len(found) for found in self.words], np.float32)

    def translated(self, foreign: Sequence[str], lexicon: Lexicon) -> dict[int, float]:
        """Return the columns a foreign text speaks for, and how surely."""
        found: dict[int, float] = {}
        for word in set(foreign):
            if word in self.place and self.seen_in[word] < COMMON:
                found[self.place[word]] = 1.0
            for english, chance in lexicon.get(word, {}).items():
                column = self.place[english]
                found[column] = max(found.get(column, 0.0), chance)
        return found

    def likeness(self, foreign: Sequence[Sequence[str]], lexicon: Lexicon, band: slice) -> Floats:
        """Return how alike each foreign text is to each original of the band."""
        rows = _matrix([self.translated(text, lexicon) for text in foreign], len(self.place))
        shared = (rows @ self.weighted[band].T).toarray() / self.norm[band]
        lengths = np.array([[len(text)] for text in foreign], np.float32)
        apart = np.abs(np.log((lengths + 1) / (self.lengths[band] + 1)))
        return np.asarray(shared - LENGTH_WEIGHT * apart, np.float32)


def _matrix(rows: Sequence[Mapping[int, float]], columns: int) -> sparse.csr_matrix:
    ends = np.cumsum([0, *(len(row) for row in rows)])
    places = [column for row in rows for column in row]
    values = np.array([value for row in rows for value in row.values()], np.float32)
    return sparse.csr_matrix((values, places, ends), (len(rows), columns))


def pair(
    foreign: Sequence[str], originals: Sequence[str], stretches: Iterable[tuple[int, int]]
) -> tuple[list[Pair], Lexicon]:
    """Pair the translated texts within each ordered stretch with their originals.

    Returns the pairs, with places into `foreign` and `originals`, and the lexicon they taught.
    """
    english, ordered = _Originals(originals), list(stretches)
    split = [words(text) for text in foreign]
    lexicon: Lexicon = {}
    pairs: list[Pair] = []
    for turn in range(ROUNDS):
        gain = FINAL_GAIN if turn == ROUNDS - 1 else LEAST_GAIN
        pairs = [p for a, b in ordered for p in _in_order(split, a, b, english, lexicon, gain)]
        sure = np.quantile([p.likeness for p in pairs], 1 - TRUSTED)
        trusted = [p for p in pairs if p.likeness > sure]
        lexicon = _lexicon([(split[p.foreign], english.words[p.original]) for p in trusted])
    return pairs, lexicon


def _in_order(
    split: Sequence[Sequence[str]],
    first: int,
    end: int,
    english: _Originals,
    lexicon: Lexicon,
    gain: float,
) -> list[Pair]:
    """Return the pairing of texts first..end that never crosses and gains most in all."""
    count = len(english.words)
    best = np.zeros(count + 1, np.float32)  # best[j]: most gained with originals before j
    choices: list[tuple[int, npt.NDArray[np.int32], Floats]] = []
    for at in range(first, end, 100):
        until = min(at + 100, end)
        low = max(0, (at - first) * count // (end - first) - BAND)
        high = min(count, (until - first) * count // (end - first) + BAND)
        for row in english.likeness(split[at:until], lexicon, slice(low, high)):
            best, choice = _step(best, row - gain, low, high)
            choices.append((low, choice, row))
    return _traced(choices, first, count)


def _step(best: Floats, gains: Floats, low: int, high: int) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Let one more text take one original of low..high, or none.

    The choice at place j is 1 + the original taken when those up to low + j are allowed, or 0.
    """
    reached = best[low:high] + gains
    highest = np.maximum.accumulate(reached)
    taken = np.maximum.accumulate(np.where(reached == highest, np.arange(high - low), 0))
    better = highest > best[low + 1 : high + 1]
    after = best.copy()
    after[low + 1 : high + 1] = np.maximum(highest, best[low + 1 : high + 1])
    after[high + 1 :] = np.maximum(after[high + 1 :], after[high])
    return after, np.where(better, taken + 1, 0).astype(np.int32)


def _traced(
    choices: Sequence[tuple[int, npt.NDArray[np.int32], Floats]], first: int, count: int
) -> list[Pair]:
    found, limit = [], count
    for place in range(len(choices) - 1, -1, -1):
        low, choice, row = choices[place]
        allowed = min(limit, low + len(choice))
        if allowed <= low or not (taken := int(choice[allowed - low - 1])):
            continue
        limit = low + taken - 1
        found.append(Pair(first + place, limit, float(row[taken - 1])))
    return found[::-1]


def _lexicon(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], turns: int = 4) -> Lexicon:
    """Learn IBM model 1 on pairs of (foreign words, English words); keep what was seen often."""
    both = [(sorted(set(foreign)), sorted(set(english))) for foreign, english in pairs]
    chance: dict[tuple[str, str], float] = {}
    for _ in range(turns):
        counts, totals = _expected(both, chance)
        chance = {key: count / totals[key[1]] for key, count in counts.items()}
    of_foreign: dict[str, float] = defaultdict(float)
    for (word, _), count in counts.items():
        of_foreign[word] += count
    kept: dict[str, dict[str, float]] = defaultdict(dict)
    for (word, translation), count in counts.items():
        if count >= 1 and count > 0.12 * of_foreign[word]:
            kept[word][translation] = count / of_foreign[word]
    return kept


def _expected(
    both: Sequence[tuple[Sequence[str], Sequence[str]]], chance: Mapping[tuple[str, str], float]
) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Return how often each word is expected to translate each other, and the sums by English."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    totals: dict[str, float] = defaultdict(float)
    for foreign, english in both:
        for word in foreign:
            each = [chance.get((word, other), 1e-3 if chance else 1.0) for other in english]
            whole = sum(each) + 1e-9
            for other, value in zip(english, each, strict=True):
                counts[word, other] += value / whole
                totals[other] += value / whole
    return counts, totals
