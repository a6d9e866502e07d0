"""Tells whether a text is in a language the text model was measured on. Lenient by design.

Each word is scored by the log probability of its letter groups in every known language. The text
counts as foreign only when one unmeasured language explains it better than any mix of the measured
ones does, so that Sheng (Swahili and English in one sentence) is never turned away.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

GRAMS_FILE = "languages.json"
TABLE_FILE = "languages.safetensors"

WORD = re.compile(r"[^\W\d_]+")
MOST_WORDS = 200
"""Words looked at; a language shows itself sooner."""
LONGEST_GRAM = 4
MIX, LEAST_OF_A_MIX = "sw-en", 0.3
"""Share of the words each language must have before a text counts as mixed."""
MEASURED_SCRIPTS = ("LATIN", "ETHIOPIC")
LEAST_SHARE = 0.6
"""Of the letters must be in a script some measured language is written in."""


def grams(word: str) -> list[str]:
    """Return the letter groups of one word, its edges marked by '_'."""
    edged = f"_{word[:40]}_"
    sizes = range(1, LONGEST_GRAM + 1)
    return [edged[at : at + n] for n in sizes for at in range(len(edged) - n + 1)]


def words(text: str) -> list[str]:
    """Return the first words of a normalised text, masks left out."""
    found = (match.group() for match in WORD.finditer(text))
    kept = [word for word in found if word not in {"user", "url", "rt"}]
    return kept[:MOST_WORDS]


class Languages:
    """Letter-group statistics of measured and unmeasured languages."""

    def __init__(self, folder: Path) -> None:
        """Load GRAMS_FILE and TABLE_FILE from a verified model folder."""
        stated = json.loads((folder / GRAMS_FILE).read_text(encoding="utf-8"))
        self.names: list[str] = stated["languages"]
        margins, of_all = stated.get("margins", {}), stated.get("margin", np.inf)
        self._margins = np.array([margins.get(name, of_all) for name in self.names])
        """Mean advantage a word, in nats, from which each unmeasured language wins."""
        self.fewest_words: int = stated["fewest_words"]
        self._places = {gram: place for place, gram in enumerate(stated["grams"])}
        self._table = load_file(folder / TABLE_FILE)["log_probability"].astype(np.float32)
        measured = set(stated["measured"])
        self._measured = np.array([name in measured for name in self.names])
        self.score = lru_cache(maxsize=20_000)(self._score)

    def foreign(self, text: str) -> str | None:
        """Return the unmeasured language (or "another script") of a normalised text, or None."""
        if _share_of_known_scripts(text) < LEAST_SHARE:
            return "another script"
        found = words(text)
        if len(found) < self.fewest_words:
            return None
        over = self.advantages(found) - self._margins
        strongest = int(over.argmax())
        return self.names[strongest] if over[strongest] > 0 else None

    def advantages(self, found: list[str]) -> npt.NDArray[np.float64]:
        """Return each language's mean advantage a word, in nats, over any mix of measured ones.

        Shape (languages,); minus infinity for the measured languages.
        """
        scores = np.stack([self.score(word) for word in found]).astype(np.float64)
        familiar = scores[:, self._measured].max(axis=1).sum()
        strangers = np.where(self._measured, -np.inf, scores.sum(axis=0))
        return np.asarray((strangers - familiar) / len(found))

    def measured(self, text: str) -> str | None:
        """Return which measured language a normalised text is in, "sw-en" for a mix, or None.

        None where the text has too few words to tell.
        """
        found = words(text)
        if len(found) < self.fewest_words:
            return None
        known = [
            name
            for name, is_measured in zip(self.names, self._measured, strict=True)
            if is_measured
        ]
        best = np.stack([self.score(word) for word in found])[:, self._measured].argmax(axis=1)
        shares = {name: float((best == place).mean()) for place, name in enumerate(known)}
        if min(shares.get("sw", 0), shares.get("en", 0)) >= LEAST_OF_A_MIX:
            return MIX
        return max(shares, key=shares.__getitem__)

    def _score(self, word: str) -> npt.NDArray[np.float32]:
        """Return the mean log probability of a word's groups per language, shape (languages,)."""
        known = [self._places[gram] for gram in grams(word) if gram in self._places]
        if not known:
            return np.zeros(len(self.names), np.float32)
        return np.asarray(self._table[known].mean(axis=0))


def _share_of_known_scripts(text: str) -> float:
    letters = [character for character in text[:2000] if character.isalpha()]
    known = sum(_is_known_script(letter) for letter in letters)
    return known / len(letters) if letters else 1.0


@lru_cache(maxsize=4096)
def _is_known_script(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(MEASURED_SCRIPTS)
