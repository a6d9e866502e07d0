"""Changes training texts as people change them: typos, stars for letters, mixed languages."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping

from inference_worker.training.glossary import GLOSSARY
from inference_worker.training.parallel_texts import Lexicon

SPOILT = 0.15
"""Share of the texts that get typos."""
MIXED = 0.12
"""Share of the English texts in which words are said in Swahili."""
SAID_IN_SWAHILI = 0.5
"""Of the words of such a text that the glossary or the lexicon can say."""
LEAST_SURE = 0.4
"""Of a translation learnt from the parallel texts."""


class Disguises:
    """Draws random changes; the same seed gives the same ones."""

    def __init__(self, lexicon: Lexicon, chance: random.Random) -> None:
        """Turn glossary and lexicon round, from English to Swahili."""
        self._chance = chance
        self._swahili = in_swahili(lexicon)

    def change(self, text: str, language: str) -> str:
        """Return the text as someone else might have typed it."""
        if language.startswith("en") and self._chance.random() < MIXED:
            text = self._mixed(text)
        return self._spoilt(text) if self._chance.random() < SPOILT else text

    def _mixed(self, text: str) -> str:
        return " ".join(
            self._chance.choice(self._swahili[word])
            if word in self._swahili and self._chance.random() < SAID_IN_SWAHILI
            else word
            for word in text.split()
        )

    def _spoilt(self, text: str) -> str:
        spoilt = text.split()
        for _ in range(1 + len(spoilt) // 8):
            at = self._chance.randrange(len(spoilt))
            if len(spoilt[at]) >= 4:
                spoilt[at] = self._typo(spoilt[at])
        return " ".join(spoilt)

    def _typo(self, word: str) -> str:
        at = self._chance.randrange(1, len(word) - 1)
        before, letter, after = word[:at], word[at], word[at + 1 :]
        return self._chance.choice(
            [
                before + after,
                before + after[0] + letter + after[1:],
                before + "*" + after,
                before + letter + letter + after,
            ]
        )


def in_swahili(lexicon: Lexicon) -> Mapping[str, list[str]]:
    """Return English words and what they may be in Swahili or Sheng."""
    found: dict[str, list[str]] = defaultdict(list)
    for swahili, meaning in GLOSSARY.items():
        for english in meaning.split():
            found[english].append(swahili)
    for swahili, translations in lexicon.items():
        for english, sure in translations.items():
            if sure >= LEAST_SURE and swahili != english:
                found[english].append(swahili)
    return found


def meanings(lexicon: Lexicon) -> dict[str, list[str]]:
    """Return Swahili words and the English words that mean about the same, the glossary first."""
    learnt = {
        swahili: [english for english, sure in translations.items() if sure >= LEAST_SURE]
        for swahili, translations in lexicon.items()
        if swahili not in translations
    }
    written = {swahili: meaning.split() for swahili, meaning in GLOSSARY.items()}
    return {word: english for word, english in {**learnt, **written}.items() if english}
