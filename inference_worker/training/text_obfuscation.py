"""Writes a text as those do who want to slip past a filter; measures, never trains."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from inference_worker.detectors.normalisation import LOOKALIKES

Disguise = Callable[[str, random.Random], str]

SIGNS = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
DRAWN_LIKE = {latin: other for other, latin in LOOKALIKES.items()}
ZERO_WIDTH = "\u200b\u200c\u2060\ufeff"


def _leet(word: str, chance: random.Random) -> str:
    inner = "".join(SIGNS.get(letter, letter) for letter in word[1:-1])
    return word[0] + inner + word[-1]


def _homoglyphs(word: str, chance: random.Random) -> str:
    return "".join(
        DRAWN_LIKE[letter] if letter in DRAWN_LIKE and chance.random() < 0.5 else letter
        for letter in word
    )


def _invisible(word: str, chance: random.Random) -> str:
    return "".join(letter + chance.choice(ZERO_WIDTH) for letter in word)


def _spaced(word: str, chance: random.Random) -> str:
    return " ".join(word)


def _dotted(word: str, chance: random.Random) -> str:
    return ".".join(word)


def _emoji(word: str, chance: random.Random) -> str:
    return "".join(
        chr(0x1F170 + ord(letter) - 97) if "a" <= letter <= "z" else letter for letter in word
    )


def _stretched(word: str, chance: random.Random) -> str:
    at = chance.randrange(len(word))
    return word[:at] + word[at] * 5 + word[at + 1 :]


def _overridden(word: str, chance: random.Random) -> str:
    return f"\u202e\u2066{word}\u2069\u202c"


def _marked(word: str, chance: random.Random) -> str:
    return "".join(letter + "\u0336" for letter in word)


DISGUISES: Mapping[str, Disguise] = {
    "letters for signs": _leet,
    "look-alike letters": _homoglyphs,
    "invisible characters": _invisible,
    "spaced letters": _spaced,
    "dotted letters": _dotted,
    "emoji letters": _emoji,
    "stretched letters": _stretched,
    "direction marks": _overridden,
    "struck through": _marked,
}
LEAST_LETTERS = 4


def disguised(text: str, disguise: str, seed: int) -> str:
    """Return the text with every word of LEAST_LETTERS letters or more disguised."""
    chance = random.Random(seed)
    change = DISGUISES[disguise]
    return " ".join(_changed(word, change, chance) for word in text.split(" "))


def _changed(word: str, change: Disguise, chance: random.Random) -> str:
    letters = word.rstrip(",.!?")
    if len(letters) < LEAST_LETTERS or not letters.isalpha():
        return word
    return change(letters, chance) + word[len(letters) :]
