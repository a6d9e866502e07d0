"""The labelled and unlabelled texts that the abuse detector learns from and is measured on."""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference_worker.detectors.normalisation import normalise
from inference_worker.training.parallel_texts import Lexicon, pair, words

KENYA = "kennethnyangweso/CAPSTONE-PROJECT"
STORMFRONT = "Vicomtech/hate-speech-dataset"
OLID = "idontflow/OLID"
DAVIDSON = "t-davidson/hate-speech-and-offensive-language"
AMHARIC = "uhh-lt/AmharicHateSpeech"
TRANSLATED = "M1urray/Hate-Speech-For-Swahili"
"""Davidson's tweets in machine-made Swahili. Its labels belong to other texts (TF-IDF inside the
set reaches an AUC of .39); each text gets the label of the tweet it was translated from."""

IN_ORDER = ((0, 4141), (4141, 6560))
"""Rows of TRANSLATED that follow the order of Davidson's file; the rest is shuffled, and left out.
"""
MISTRANSLATED = frozenset({"jembe", "majembe", "kitoto", "vitoto", "kuumwa", "punda", "magugu"})
"""Garden hoes, little children, bites, donkeys, weeds: what the machine made of slang. Texts with
them are left out, so that the words are not learnt as abuse."""

ABUSIVE = ("insult", "hate")
LABELS = ("normal", *ABUSIVE)
"""Outputs of the model. No source labels threats, so there is none."""
UNTOLD = 0
"""Kind of an abusive text whose source does not say which; otherwise a place in LABELS."""
KINDS = {"offensive": LABELS.index("insult"), "hate": LABELS.index("hate")}


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text, normalised as the detector will read it."""

    text: str
    label: int
    kind: int
    """Place in LABELS, or UNTOLD."""
    source: str
    language: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything there is to learn from."""

    examples: list[Example]
    unlabelled: Mapping[str, list[str]]
    """Normalised texts by language, for the vocabulary and the language gate."""
    lexicon: Lexicon
    """Swahili words to English ones, learnt from TRANSLATED."""

    def of(self, source: str) -> list[Example]:
        """Return the examples of one source."""
        return [example for example in self.examples if example.source == source]


def load(data: Path) -> Corpus:
    """Read abuse.csv.gz and sentiment.csv.gz, without texts that repeat once normalised."""
    rows = _rows(data / "abuse.csv.gz")
    translated = [row for row in rows if row["source"] == TRANSLATED]
    originals = [row for row in rows if row["source"] == DAVIDSON]
    pairs, lexicon = pair(
        [row["text"] for row in translated], [row["text"] for row in originals], IN_ORDER
    )
    relabelled = [
        {**translated[p.foreign], **{k: originals[p.original][k] for k in ("label", "label_fine")}}
        for p in pairs
        if MISTRANSLATED.isdisjoint(words(translated[p.foreign]["text"]))
    ]
    trusted = [row for row in rows if row["source"] != TRANSLATED]
    unlabelled: dict[str, list[str]] = defaultdict(list)
    for row in (*_rows(data / "sentiment.csv.gz"), *translated):
        unlabelled[row["lang"]].append(_read_as(row["text"]))
    return Corpus(_unique(map(_example, (*trusted, *relabelled))), unlabelled, lexicon)


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _read_as(text: str) -> str:
    return " ".join(normalise(text).text.split())


def _example(row: Mapping[str, str]) -> Example:
    label = int(row["label"])
    kind = KINDS.get(row["label_fine"], UNTOLD) if label else UNTOLD
    return Example(_read_as(row["text"]), label, kind, row["source"], row["lang"])


def _unique(examples: Iterable[Example]) -> list[Example]:
    unique: dict[str, Example] = {}
    for example in examples:
        unique.setdefault(example.text, example)
    unique.pop("", None)
    return list(unique.values())


def capped(
    examples: Sequence[Example], limits: Mapping[str, int], chance: random.Random
) -> list[Example]:
    """Return at most `limits[source]` examples a source, classes as even as the source allows."""
    chosen: list[Example] = []
    for source, limit in limits.items():
        of_class = [[e for e in examples if e.source == source and e.label == k] for k in (0, 1)]
        for group in of_class:
            chance.shuffle(group)
        fewer = min(len(group) for group in of_class)
        room = max(limit - fewer, limit // 2)
        chosen += [example for group in of_class for example in group[:room]]
    return chosen


def weights(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
    """Weigh the classes alike within each source, so that the source does not tell the label."""
    of_cell = Counter((e.source, e.label) for e in examples)
    of_source = Counter(e.source for e in examples)
    each = [of_source[e.source] / (2 * of_cell[e.source, e.label]) for e in examples]
    return np.array(each, np.float32)


def reserve(
    examples: Sequence[Example], counts: Mapping[str, int], seed: int
) -> tuple[list[Example], list[Example]]:
    """Split off `counts[source]` examples a source, drawn at random: (the rest, the reserved)."""
    chance = random.Random(seed)
    reserved = [
        example
        for source, count in counts.items()
        for example in chance.sample([e for e in examples if e.source == source], count)
    ]
    kept_out = {example.text for example in reserved}
    return [example for example in examples if example.text not in kept_out], reserved


def licences(data: Path) -> dict[str, str]:
    """Return each source's licence as its repository states it."""
    return {row["source"]: row["licence"] for row in _rows(data / "abuse.csv.gz")}


def by_language(corpus: Corpus) -> dict[str, list[str]]:
    """Return the measured languages' texts; Kenyan code-mixed text counts as Swahili."""
    texts: dict[str, list[str]] = defaultdict(list)
    for example in corpus.examples:
        texts[example.language].append(example.text)
    return {
        "en": texts["en"][::4] + texts["en-KE"],
        "sw": corpus.unlabelled["sw"] + texts["sw"] + texts["sw-en"],
        "am": corpus.unlabelled["am"] + texts["am"],
    }
